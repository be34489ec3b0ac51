using DtoKd.Engine.Cpu;

namespace DtoKd.Engine.Tests.Devices;

public class MachinePeakTests
{
    [Fact]
    public void A_line_of_the_cache_goes_from_core_to_core_where_several_compute()
    {
        using CpuDevice one = new(1), two = new(2);
        Assert.Null(MachinePeak.ExchangeSeconds(one));
        if (Environment.ProcessorCount > 1)
            Assert.True(MachinePeak.ExchangeSeconds(two) > 0);
        else
            Assert.Null(MachinePeak.ExchangeSeconds(two));
    }
}
