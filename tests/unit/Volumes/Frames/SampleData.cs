using System.Text;

namespace Gateway.Volumes.Tests.Frames;

/// <summary>Data of known character.</summary>
internal static class SampleData
{
    /// <summary>Shrinks by neither codec.</summary>
    public static byte[] Noise(int lengthBytes, int seed)
    {
        var data = new byte[lengthBytes];
        new Random(seed).NextBytes(data);
        return data;
    }

    /// <summary>Words in random order: shrinks to less than half by either codec.</summary>
    public static byte[] Text(int lengthBytes, int seed)
    {
        string[] words = ["journal ", "segment ", "frame ", "epoch ", "bucket ", "block ", "of the ", "and then ", "0123456789 ", "\n"];
        var random = new Random(seed);
        var text = new StringBuilder();
        while (text.Length < lengthBytes) text.Append(words[random.Next(words.Length)]);
        return Encoding.ASCII.GetBytes(text.ToString(0, lengthBytes));
    }

    /// <summary>Random, but of 64 values only: no repetition for LZ4, a quarter less for an entropy coder.</summary>
    public static byte[] SixBits(int lengthBytes, int seed)
    {
        var data = Noise(lengthBytes, seed);
        for (var i = 0; i < data.Length; i++) data[i] &= 0x3F;
        return data;
    }
}
