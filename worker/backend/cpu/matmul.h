#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/backend/cpu/compute_pool.h"
#include "worker/backend/cpu/kernels.h"
#include "worker/backend/cpu/packed_matrix.h"
#include "worker/model/formulas.h"

namespace tidegate::worker {

/// y[r] = weight * x[r]; with `up` set, y[r] = gate(weight * x[r]) * (up * x[r]), the first half of a gated
/// MLP, with gate = silu. Rows are pointers, so that an expert reads its rows where they lie.
struct MatmulJob {
  const PackedMatrix* weight = nullptr;
  const PackedMatrix* up = nullptr;
  std::span<const float* const> x;  ///< each of weight->inputs() floats
  std::span<float* const> y;        ///< each of weight->outputs() floats
  bool is_exact = false;            ///< its inputs are never rounded, whatever the kernels do: a choice hangs on it
};

/// Runs independent jobs as one parallel region. Work is split over panels, never over the inner dimension,
/// so the split cannot change a result; every weight is read once per call.
class Matmul {
 public:
  /// Another `gate` than silu is a known bug, slow and for tests.
  Matmul(const KernelTable& kernels, ComputePool& pool, GateFunction gate = GateFunction::kSilu);
  void run(std::span<const MatmulJob> jobs);

 private:
  struct Unit {
    const MatmulJob* job;
    std::int64_t panel;   ///< the first of `count`
    int count;            ///< of panels, up to kPanelsPerCall
    std::int64_t narrow;  ///< where the job's rounded rows begin in narrow_rows_; -1: it takes them as they are
  };
  /// Rounds the rows of jobs whose kernels want that.
  void narrow_inputs(std::span<const MatmulJob> jobs);
  void multiply(const Unit& unit, const PackedMatrix& weight, const PanelView* panels, int count, std::size_t first, float* const* y,
                int rows) const;
  void run_unit(const Unit& unit, float* scratch);
  const KernelTable& kernels_;
  ComputePool& pool_;
  const GateFunction gate_;
  std::vector<Unit> units_;
  std::vector<std::int64_t> narrow_starts_;  ///< by job, as Unit::narrow
  std::vector<const std::uint16_t*> narrow_rows_;
  AlignedBuffer<std::uint16_t> narrow_;
  std::vector<float> scratch_;  ///< per thread [KernelTable::rows_per_call][kUnitColumns]
};

/// Pointers to rows of a dense buffer.
std::vector<const float*> const_rows(const float* base, std::int64_t stride, std::int64_t rows);
std::vector<float*> mutable_rows(float* base, std::int64_t stride, std::int64_t rows);

}  // namespace tidegate::worker
