using Gateway.Volumes.Leases;
using Xunit;

namespace Gateway.Volumes.Tests.Leases;

/// <summary>Until when a look lets a writer acknowledge.</summary>
public class WriterAuthorityTests
{
    private static readonly LeaseTerms Terms = new(TimeSpan.FromSeconds(120));

    [Fact]
    public void Authority_BeforeTheFirstLook_IsNone() => Assert.False(new WriterAuthority(Terms, new StepTime()).IsValid);

    [Fact]
    public void Authority_AfterALook_EndsAMarginBeforeTheLease()
    {
        var time = new StepTime();
        var authority = new WriterAuthority(Terms, time);
        authority.Extend(time.GetTimestamp());

        time.Pass(TimeSpan.FromSeconds(108) - TimeSpan.FromTicks(1));
        Assert.True(authority.IsValid);
        time.Pass(TimeSpan.FromTicks(1));

        Assert.False(authority.IsValid);
    }

    [Fact]
    public void Authority_LookAnswersLate_CountsFromWhenItWasSent()
    {
        var time = new StepTime();
        var authority = new WriterAuthority(Terms, time);
        var sentAt = time.GetTimestamp();
        time.Pass(TimeSpan.FromSeconds(100));
        authority.Extend(sentAt);

        Assert.True(authority.IsValid);
        time.Pass(TimeSpan.FromSeconds(8));

        Assert.False(authority.IsValid);
    }

    [Fact]
    public void Authority_AnEarlierLookAnswersLast_TakesNothingAway()
    {
        var time = new StepTime();
        var authority = new WriterAuthority(Terms, time);
        var first = time.GetTimestamp();
        time.Pass(TimeSpan.FromSeconds(60));
        authority.Extend(time.GetTimestamp());
        authority.Extend(first);

        time.Pass(TimeSpan.FromSeconds(100));

        Assert.True(authority.IsValid);
    }

    [Fact]
    public void Authority_Revoked_IsNotExtendedAgain()
    {
        var time = new StepTime();
        var authority = new WriterAuthority(Terms, time);
        authority.Extend(time.GetTimestamp());

        authority.Revoke();
        authority.Extend(time.GetTimestamp());

        Assert.False(authority.IsValid);
    }

    [Fact]
    public void Authority_WithoutALease_HasNoEnd()
    {
        var time = new StepTime();
        var authority = new WriterAuthority(new LeaseTerms(TimeSpan.Zero), time);

        time.Pass(TimeSpan.FromDays(1000));

        Assert.True(authority.IsValid);
        Assert.False(authority.NothingIsSweptYet);
        authority.Extend(time.GetTimestamp());
        Assert.True(authority.NothingIsSweptYet);
        time.Pass(TimeSpan.FromMinutes(2));
        Assert.False(authority.NothingIsSweptYet);
    }

    [Fact]
    public void Margins_OfWriterAndSuccessor_LieOnBothSidesOfTheLease()
    {
        Assert.Equal(TimeSpan.FromSeconds(108), Terms.AuthorityLength);
        Assert.Equal(TimeSpan.FromSeconds(132), Terms.SuccessorWait);
    }

    [Fact]
    public void BootTime_AgainstTheMonotonicClock_IsNotBehind()
    {
        var boot = BootTimeProvider.Instance;

        var first = boot.GetTimestamp();

        Assert.InRange(boot.GetTimestamp(), first, long.MaxValue);
        Assert.InRange(boot.GetElapsedTime(0), TimeSpan.FromMilliseconds(Environment.TickCount64 - 1000), TimeSpan.MaxValue);
    }
}

/// <summary>A clock that moves when told.</summary>
internal sealed class StepTime : TimeProvider
{
    private long _now = 1;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => _now;

    public void Pass(TimeSpan span) => _now += span.Ticks;
}
