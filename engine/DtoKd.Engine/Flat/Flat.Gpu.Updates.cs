using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>A weight and its optimiser's states.</summary>
internal struct WeightState
{
    public float W, A, B, C;
}

/// <summary>What an optimiser does to a weight.</summary>
internal interface IUpdateRule
{
    /// <summary>How many of the three states the rule has.</summary>
    static abstract int States { get; }

    /// <summary>The weight and its states after a step along the gradient, which is scaled.</summary>
    WeightState Apply(WeightState at, float gradient);
}

/// <summary>Applies a rule to every weight.</summary>
internal readonly struct UpdateKernel<TRule> : IKernel<UpdateKernel<TRule>.Args>
    where TRule : struct, IUpdateRule
{
    public static void Run(Args args)
    {
        float scale = args.IsOnDevice != 0 ? args.ScaleOnDevice[0] : args.Scale;
        // See UpdateScale: nothing is updated any more.
        if (scale < 0)
            return;
        for (long i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            var at = new WeightState { W = args.Weights[i] };
            if (TRule.States > 0)
                at.A = args.A[i];
            if (TRule.States > 1)
                at.B = args.B[i];
            if (TRule.States > 2)
                at.C = args.C[i];
            at = args.Rule.Apply(at, args.Gradient[i] * scale);
            args.Weights[i] = at.W;
            if (TRule.States > 0)
                args.A[i] = at.A;
            if (TRule.States > 1)
                args.B[i] = at.B;
            if (TRule.States > 2)
                args.C[i] = at.C;
        }
    }

    internal struct Args
    {
        public ArrayView<float> Weights, Gradient, A, B, C, ScaleOnDevice;
        public long Count;
        public TRule Rule;
        public float Scale;
        public int IsOnDevice;
    }
}

/// <summary>The factors of Adam and AdamW, as <see cref="Flat.Adam"/> has them.</summary>
internal readonly struct AdamFactors(AdamStep step)
{
    private readonly float _coupled = (float)step.Coupled;
    private readonly float _keep = (float)(1 - (step.LearningRate * step.WeightDecay));
    private readonly float _b1 = (float)step.Beta1, _c1 = (float)(1 - step.Beta1);
    private readonly float _b2 = (float)step.Beta2, _c2 = (float)(1 - step.Beta2);
    private readonly float _size = (float)(step.LearningRate / (1 - Math.Pow(step.Beta1, step.Step)));
    private readonly float _root = (float)(1 / Math.Sqrt(1 - Math.Pow(step.Beta2, step.Step)));
    private readonly float _epsilon = (float)step.Epsilon;

    /// <summary>The moments after this gradient.</summary>
    public WeightState Moments(WeightState at, float gradient)
    {
        float g = gradient + (at.W * _coupled);
        at.A = (at.A * _b1) + (g * _c1);
        at.B = (at.B * _b2) + (g * g * _c2);
        return at;
    }

    public float Weight(WeightState at, float second) =>
        (at.W * _keep) - (at.A * _size / ((Ptx.Sqrt(second) * _root) + _epsilon));
}

/// <summary><see cref="Flat.Adam"/> with states m and v.</summary>
internal readonly struct AdamRule(AdamStep step) : IUpdateRule
{
    private readonly AdamFactors _factors = new(step);

    public static int States => 2;

    public WeightState Apply(WeightState at, float gradient)
    {
        at = _factors.Moments(at, gradient);
        at.W = _factors.Weight(at, at.B);
        return at;
    }
}

/// <summary><see cref="Flat.Adam"/> with the largest v so far as the third state.</summary>
internal readonly struct AmsGradRule(AdamStep step) : IUpdateRule
{
    private readonly AdamFactors _factors = new(step);

    public static int States => 3;

    public WeightState Apply(WeightState at, float gradient)
    {
        at = _factors.Moments(at, gradient);
        at.C = Ptx.Max(at.B, at.C);
        at.W = _factors.Weight(at, at.C);
        return at;
    }
}

/// <summary><see cref="Flat.Sgd"/> with the momentum as its state.</summary>
internal readonly struct SgdRule(SgdStep step) : IUpdateRule
{
    private readonly float _rate = (float)step.LearningRate, _mu = (float)step.Momentum;
    private readonly float _decay = (float)step.WeightDecay, _share = (float)step.Share;
    private readonly int _nesterov = step.Nesterov ? 1 : 0;

    public static int States => 1;

    public WeightState Apply(WeightState at, float gradient)
    {
        float g = gradient + (at.W * _decay);
        at.A = (at.A * _mu) + (g * _share);
        at.W -= (_nesterov != 0 ? g + (at.A * _mu) : at.A) * _rate;
        return at;
    }
}

/// <summary><see cref="Flat.RmsProp"/> with states v and b.</summary>
internal readonly struct RmsPropRule(RmsPropStep step) : IUpdateRule
{
    private readonly float _rate = (float)step.LearningRate, _mu = (float)step.Momentum;
    private readonly float _alpha = (float)step.Alpha, _rest = (float)(1 - step.Alpha);
    private readonly float _decay = (float)step.WeightDecay, _epsilon = (float)step.Epsilon;

    public static int States => 2;

    public WeightState Apply(WeightState at, float gradient)
    {
        float g = gradient + (at.W * _decay);
        at.A = (at.A * _alpha) + (g * g * _rest);
        at.B = (at.B * _mu) + (g / (Ptx.Sqrt(at.A) + _epsilon));
        at.W -= at.B * _rate;
        return at;
    }
}

/// <summary><see cref="Flat.Adagrad"/> with the sum of squares as its state.</summary>
internal readonly struct AdagradRule(AdagradStep step) : IUpdateRule
{
    private readonly float _rate = (float)step.LearningRate;
    private readonly float _decay = (float)step.WeightDecay, _epsilon = (float)step.Epsilon;

    public static int States => 1;

    public WeightState Apply(WeightState at, float gradient)
    {
        float g = gradient + (at.W * _decay);
        at.A += g * g;
        at.W -= g * _rate / (Ptx.Sqrt(at.A) + _epsilon);
        return at;
    }
}

/// <summary><see cref="Flat.Lion"/> with the momentum as its state.</summary>
internal readonly struct LionRule(LionStep step) : IUpdateRule
{
    private readonly float _rate = (float)step.LearningRate;
    private readonly float _keep = (float)(1 - (step.LearningRate * step.WeightDecay));
    private readonly float _b1 = (float)step.Beta1, _c1 = (float)(1 - step.Beta1);
    private readonly float _b2 = (float)step.Beta2, _c2 = (float)(1 - step.Beta2);

    public static int States => 1;

    public WeightState Apply(WeightState at, float gradient)
    {
        float g = gradient, direction = (at.A * _b1) + (g * _c1);
        float change = direction > 0 ? _rate : direction < 0 ? -_rate : 0f;
        at.W = (at.W * _keep) - change;
        at.A = (at.A * _b2) + (g * _c2);
        return at;
    }
}

/// <summary><see cref="Flat.Average"/>: the weight is the average, the gradient the value that enters it.</summary>
internal readonly struct AverageRule(double share) : IUpdateRule
{
    private readonly float _share = (float)share;

    public static int States => 0;

    public WeightState Apply(WeightState at, float gradient)
    {
        at.W += (gradient - at.W) * _share;
        return at;
    }
}

/// <summary><see cref="Flat.Clamp"/>: what is not a number stays so.</summary>
internal readonly struct ClampRule(double limit) : IUpdateRule
{
    private readonly float _limit = (float)limit;

    public static int States => 0;

    public WeightState Apply(WeightState at, float gradient)
    {
        at.W = Ptx.Min(Ptx.Max(at.W, -_limit), _limit);
        return at;
    }
}
