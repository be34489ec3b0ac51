using DtoKd.Training.Data;

namespace DtoKd.Training.Tests.Data;

public class DataSourceTests
{
    [Theory]
    [InlineData("")]
    [InlineData("digit")]
    [InlineData("Digits")]
    [InlineData("digits:somewhere")]
    [InlineData("cifar10")]
    [InlineData("cifar10:")]
    [InlineData("imagenet:somewhere")]
    public void Unknown_sources_are_answered_with_the_known_ones(string text) =>
        IdxFormatTests.AssertSays($"unknown data '{text}'; known are digits, mnist:FOLDER, fashion-mnist:FOLDER, cifar10:FOLDER, imagefolder:FOLDER",
            () => DataSource.Parse(text));

    [Fact]
    public void A_folder_may_have_a_colon_in_it()
    {
        var source = DataSource.Parse("cifar10:C:/no/such");
        Assert.Equal("cifar10", source.Name);
        IdxFormatTests.AssertSays("C:/no/such: there is no such folder", () => source.Load());
    }

    [Fact]
    public void Digits_need_no_folder() => Assert.Equal(1437, DataSource.Parse("digits").Load().Train.Count);

    [Fact]
    public void A_data_set_refuses_arrays_that_do_not_fit()
    {
        var format = new ImageFormat("test", ["a", "b"], 1, 2, 2, 255, [0], [1]);
        Assert.Throws<ArgumentException>(() => new ImageDataset(format, new byte[7], new int[2]));
        Assert.Throws<ArgumentException>(() => new ImageDataset(format, new byte[4], [2]));
        Assert.Throws<ArgumentException>(() => new ImageDataset(format, new byte[4], [-1]));
        Assert.Throws<ArgumentException>(() => new ImageDataset(format with { Channels = 2 }, new byte[8], [1]));
    }
}
