using ILGPU;

namespace DtoKd.Engine.Gpu;

/// <summary>What the losses on class indices share on a GPU.</summary>
internal static class ClassTargetsGpu
{
    /// <summary>As <see cref="ClassTargets.Weights"/>.</summary>
    public static void Weights(string op, Tensor labels, int classes, Tensor? weight, long ignoreIndex, Tensor weights)
    {
        var device = (GpuDevice)weights.Device;
        GridStride.Launch<LabelWeights, LabelWeights.Args>(device, labels.Count, new()
        {
            Labels = GpuDevice.View<long>(labels),
            OfClass = GpuDevice.View<float>(weight ?? weights),
            Weights = GpuDevice.View<float>(weights),
            IsWeighted = weight is null ? 0 : 1,
            IgnoreIndex = ignoreIndex,
            Count = checked((int)labels.Count),
            Guard = device.Faults.Guard(op, classes, ClassTargets.NoClass),
        });
    }
}

/// <summary>weights[i] = the weight of the class labels[i]; 0 where it is ignored or no class.</summary>
internal readonly struct LabelWeights : IKernel<LabelWeights.Args>
{
    public static void Run(Args args)
    {
        for (int i = GridStride.First; i < args.Count; i += GridStride.Step)
        {
            long label = args.Labels[i];
            float weight = 0;
            if (label != args.IgnoreIndex && args.Guard.Admits(label, i))
                weight = args.IsWeighted != 0 ? args.OfClass[label] : 1;
            args.Weights[i] = weight;
        }
    }

    internal struct Args
    {
        public ArrayView<long> Labels;
        public ArrayView<float> OfClass, Weights;
        public long IgnoreIndex;
        public int IsWeighted, Count;
        public IndexGuard Guard;
    }
}
