// The inner loops of the objective, chosen for the CPU at run time, and their plain versions. All give the same bits:
// every lane is made by the same fused multiply-adds in the same order, however many a vector holds.
#pragma once

namespace frazil::motion {

/// Components of one block of a row in all frames, lane by lane. Everywhere 16 real parts are followed by 16 imaginary
/// ones.
struct ObjectiveBlock {
  const float* components;  ///< [frame][32]
  const float* along_x;     ///< [frame][32] exp(−2πi kx s_x) of each lane
  const float* along_y;     ///< [frame][2] exp(−2πi ky s_y) times the frame's amplitude
  int frames;
};

struct ObjectiveKernels {
  /// sum[32] = Σ_t turned_t, where turned_t = components · along_x · along_y.
  void (*sum)(const ObjectiveBlock& block, float* sum);
  /// The same, and keeps turned: [frame][32].
  void (*turn)(const ObjectiveBlock& block, float* turned, float* sum);
  /// For each frame with v = Im(s* turned), u = Re(s* turned), s = sum[32]: adds v · (first_kx + lane), v · ky and u to
  /// totals, [frame][48].
  void (*slope)(const float* turned, const float* sum, float first_kx, float ky, int frames, float* totals);
  const char* target;  ///< name of the instruction set
};

/// For the best instruction set that this CPU has and pin_isa allows.
[[nodiscard]] const ObjectiveKernels& objective_kernels();
/// Lane by lane: what the others must equal.
[[nodiscard]] const ObjectiveKernels& objective_kernels_reference();

}  // namespace frazil::motion
