namespace DtoKd.Training.Balancing;

// Σ (e^(s_k) L_k − s_k)                   (Liu et al., "Towards impartial multi-task learning", 2021, section 3.3)
//   coefficient_k = e^(s_k)      ∂/∂s_k = e^(s_k) L_k − 1, zero at e^(s_k) = 1/L_k: in rest every scaled loss is 1

/// <summary>IMTL-L: each objective has a learned scale that brings its loss to 1.</summary>
/// <param name="objectives">K, at least 1.</param>
/// <param name="settings">What steps s; null for Adam at 0.025 without decay.</param>
/// <param name="lossFloor">Losses below it are taken as this value; see <see cref="LossFloor"/>.</param>
public sealed class ImtlL(int objectives, TradeOffSettings? settings = null, double lossFloor = LossFloor.Default)
    : LearnedScales("imtl-l", objectives, settings, lossFloor)
{
    /// <inheritdoc/>
    protected override double Coefficient(double s) => Math.Exp(s);

    /// <inheritdoc/>
    protected override double Slope(double s, double loss) => Math.Exp(s) * loss - 1;
}
