namespace DtoKd.Models.Tests;

public class KnownNamesTests
{
    private static readonly string[] _known = ["exact", "exact-features", "gemm", "deit_tiny_patch16", "deit_tiny_distilled_patch16", "step"];

    [Theory]
    [InlineData("exakt", "exact or exact-features")]
    [InlineData("EXACT", "exact or exact-features")]
    [InlineData("exact-feature", "exact-features")]
    [InlineData("gem", "gemm")]
    [InlineData("gemmm", "gemm")]
    [InlineData("setp", "step")]
    [InlineData("deit_tiny", "deit_tiny_patch16 or deit_tiny_distilled_patch16")]
    [InlineData("diet_tny", "deit_tiny_patch16 or deit_tiny_distilled_patch16")]
    public void Names_that_a_slip_or_an_end_makes_of_it_are_offered(string name, string near) =>
        Assert.Equal($"unknown thing '{name}'; did you mean {near}?", KnownNames.Unknown("thing", name, _known));

    [Theory]
    [InlineData("")]
    [InlineData("ge")]
    [InlineData("vgg16")]
    [InlineData("stage")]
    [InlineData("exkkt")]
    public void Where_none_is_near_all_are_listed(string name) =>
        Assert.Equal($"unknown thing '{name}'; known are {string.Join(", ", _known)}", KnownNames.Unknown("thing", name, _known));
}
