namespace Gateway.Tcmu;

/// <summary>A TCMU device that sysfs shows.</summary>
/// <param name="Minor">Number of its UIO device: node <c>uio&lt;minor&gt;</c>.</param>
/// <param name="Name">Its name.</param>
/// <param name="MapLengthBytes">Length of its region: the only length that it can be mapped with.</param>
public readonly record struct UioDevice(uint Minor, TcmuDeviceName Name, long MapLengthBytes);
