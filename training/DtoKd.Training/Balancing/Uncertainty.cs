namespace DtoKd.Training.Balancing;

// Σ ½(e^(−s_k) L_k + s_k)                                       (Kendall, Gal and Cipolla, "Multi-task learning using
//                                                                uncertainty to weigh losses", 2018, with s = log σ²)
//   coefficient_k = ½e^(−s_k)      ∂/∂s_k = ½(1 − e^(−s_k) L_k), zero at e^(s_k) = L_k: in rest every objective weighs 1/(2L_k)

/// <summary>Uncertainty weighting: each objective has a learned noise that divides its loss.</summary>
/// <param name="objectives">K, at least 1.</param>
/// <param name="settings">What steps s; null for Adam at 0.025 without decay.</param>
/// <param name="lossFloor">Losses below it are taken as this value; see <see cref="LossFloor"/>.</param>
public sealed class Uncertainty(int objectives, TradeOffSettings? settings = null, double lossFloor = LossFloor.Default)
    : LearnedScales("uncertainty", objectives, settings, lossFloor)
{
    /// <inheritdoc/>
    protected override double Coefficient(double s) => 0.5 * Math.Exp(-s);

    /// <inheritdoc/>
    protected override double Slope(double s, double loss) => 0.5 * (1 - Math.Exp(-s) * loss);
}
