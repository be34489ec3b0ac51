namespace DtoKd.Engine.Tests.Fixtures;

/// <summary>Every operation against PyTorch's values: results and gradients.</summary>
[Trait("Category", "Fixtures")]
public class OpFixtureTests
{
    public static TheoryData<string> Cases => [.. OpFixture.Ids.Where(id => OpMap.All.ContainsKey(OpFixture.OpOf(id)))];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Equals_PyTorch_in_single_precision(string id) => AssertPasses(id, DType.F32);

    [Theory]
    [MemberData(nameof(Cases))]
    public void Equals_PyTorch_in_double_precision(string id) => AssertPasses(id, DType.F64);

    private static void AssertPasses(string id, DType floats)
    {
        string? failure = OpFixture.Failure(id, floats, OpMap.All);
        Assert.True(failure is null, failure);
    }

    [Fact]
    public void Every_operation_of_the_file_is_either_mapped_or_listed_as_missing()
    {
        var ops = OpFixture.Ids.Select(OpFixture.OpOf).ToHashSet();
        Assert.Subset(ops, TrainingOps.Names.ToHashSet());
        ops.ExceptWith(TrainingOps.Names);
        Assert.Empty(OpMap.All.Keys.Intersect(MissingOps.Reasons.Keys));
        Assert.Empty(ops.Except(OpMap.All.Keys).Except(MissingOps.Reasons.Keys));
        Assert.Empty(OpMap.All.Keys.Except(ops));
        Assert.Empty(MissingOps.Reasons.Keys.Except(ops));
    }

    [Fact]
    public void What_the_engine_offers_is_not_listed_as_missing()
    {
        var offered = typeof(Op).GetMethods().Select(method => method.Name).ToHashSet(StringComparer.OrdinalIgnoreCase);
        Assert.DoesNotContain(MissingOps.Reasons.Keys, op => offered.Contains(op.Replace("_", "")));
    }

    [Fact]
    public void Counts()
    {
        var ids = Cases.Select(row => row.Data).ToArray();
        int total = OpFixture.Ids.Count(id => !TrainingOps.Names.Contains(OpFixture.OpOf(id)));
        int single = ids.Count(id => OpFixture.Failure(id, DType.F32, OpMap.All) is null);
        int twice = ids.Count(id => OpFixture.Failure(id, DType.F64, OpMap.All) is null);
        string line = $"ops: {ids.Length} of {total} cases run; passed {single} in F32, {twice} in F64; "
            + $"{total - ids.Length} cases missing, of {MissingOps.Reasons.Count} operations: "
            + string.Join(", ", MissingOps.Reasons.Keys);
        Console.WriteLine(line);
        TestContext.Current.TestOutputHelper!.WriteLine(line);
        Assert.Equal((ids.Length, ids.Length), (single, twice));
    }
}
