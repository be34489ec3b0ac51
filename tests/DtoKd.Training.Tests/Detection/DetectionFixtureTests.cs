using DtoKd.Engine;
using DtoKd.Engine.Tests.Fixtures;
using DtoKd.Training.Detection;

namespace DtoKd.Training.Tests.Detection;

/// <summary>Matching and set losses of a detector against PyTorch's values: results and gradients.</summary>
[Trait("Category", "Fixtures")]
public class DetectionFixtureTests
{
    private static readonly Dictionary<string, OpFunction> _map = new()
    {
        ["detr_focal_matcher"] = Matched,
        ["deformable_detr_criterion"] = Criterion,
    };

    public static TheoryData<string, DType> Cases
    {
        get
        {
            var data = new TheoryData<string, DType>();
            foreach (string id in Ids)
            {
                data.Add(id, DType.F32);
                data.Add(id, DType.F64);
            }

            return data;
        }
    }

    private static IEnumerable<string> Ids => OpFixture.Ids.Where(id => _map.ContainsKey(OpFixture.OpOf(id)));

    [Theory]
    [MemberData(nameof(Cases))]
    public void Equals_PyTorch(string id, DType floats)
    {
        string? failure = OpFixture.Failure(id, floats, _map);
        Assert.True(failure is null, failure);
    }

    [Fact]
    public void Just_what_the_engine_leaves_to_training_runs_here()
    {
        Assert.Equal(TrainingOps.Names.Order(), _map.Keys.Order());
        Assert.Equal(TrainingOps.Names.Order(), Ids.Select(OpFixture.OpOf).Distinct().Order());
    }

    [Fact]
    public void Counts()
    {
        var ids = Ids.ToArray();
        string line = $"ops of training: {ids.Length} cases run; "
            + $"passed {ids.Count(id => OpFixture.Failure(id, DType.F32, _map) is null)} in F32, "
            + $"{ids.Count(id => OpFixture.Failure(id, DType.F64, _map) is null)} in F64; 0 missing";
        Console.WriteLine(line);
        TestContext.Current.TestOutputHelper!.WriteLine(line);
    }

    private static HungarianMatcher Matcher(OpCall c) => new(
        c.Number("cost_class"), c.Number("cost_bbox"), c.Number("cost_giou"), c.Number("alpha"), c.Number("gamma"));

    private static Tensor[] Matched(OpCall c)
    {
        var target = new DetectionTarget(c["t"], c["tb"]);
        var match = Matcher(c).Match(c["x"], c["pb"], target);
        return [Matcher(c).Cost(c["x"], c["pb"], target), Indices(c, match.Queries), Indices(c, match.Objects)];
    }

    private static Tensor[] Criterion(OpCall c)
    {
        var criterion = new SetCriterion(Matcher(c), c.Number("alpha"), c.Number("gamma"));
        int[] counts = c.Ints("targets_per_image");
        var targets = Op.Split(c["tl"], counts, 0)
            .Zip(Op.Split(c["tb"], counts, 0), (labels, boxes) => new DetectionTarget(labels, boxes));
        var losses = criterion.Losses(c["logits"], c["boxes"], [.. targets]);
        return
        [
            losses.Class,
            losses.Box,
            losses.Giou,
            Indices(c, losses.Matches.SelectMany(match => match.Queries)),
            Indices(c, losses.Matches.SelectMany(match => match.Objects)),
        ];
    }

    private static Tensor Indices(OpCall c, IEnumerable<long> indices)
    {
        long[] values = [.. indices];
        return c.Step.From(values, [values.Length]);
    }
}
