#include "worker/backend/cpu/matmul.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tidegate::worker {
namespace {

/// Rows for which a gate panel's results wait for the up panel's: 16 KiB of scratch, and both panels stay in
/// L1/L2.
constexpr std::int64_t kRowBlock = 64;
constexpr std::int64_t kUnitColumns = std::int64_t{kPanelColumns} * kPanelsPerCall;
/// Multiply-adds worth waking another thread for (about 2 microseconds of one core).
constexpr std::int64_t kGrain = 40'000;
/// Tasks per thread: enough to even out, few enough that taking one costs nothing.
constexpr std::int64_t kTasksPerThread = 4;

/// gate = gelu(gate) * up
void gelu_mul(float* gate, const float* up, int n) {
  for (int i = 0; i < n; ++i) {
    gate[i] *= 0.5f * (1.0f + std::erf(gate[i] / std::numbers::sqrt2_v<float>)) * up[i];
  }
}

}  // namespace

Matmul::Matmul(const KernelTable& kernels, ComputePool& pool, GateFunction gate)
    : kernels_(kernels),
      pool_(pool),
      gate_(gate),
      scratch_(static_cast<std::size_t>(pool.threads()) * kRowBlock * kUnitColumns) {}

void Matmul::run(std::span<const MatmulJob> jobs) {
  units_.clear();
  std::int64_t cost = 0;
  for (const MatmulJob& job : jobs) {
    if (job.x.empty()) continue;
    for (std::int64_t panel = 0; panel < job.weight->panels(); panel += kPanelsPerCall)
      units_.push_back({&job, panel});
    cost += static_cast<std::int64_t>(job.x.size()) * job.weight->outputs() * job.weight->inputs() *
            (job.up != nullptr ? 2 : 1);
  }
  const auto units = static_cast<std::int64_t>(units_.size());
  if (units == 0) return;
  const std::int64_t tasks =
      std::clamp<std::int64_t>(cost / kGrain, 1, std::min(units, pool_.threads() * kTasksPerThread));
  pool_.run(tasks, [&](std::int64_t task, int thread) {
    float* scratch = scratch_.data() + thread * kRowBlock * kUnitColumns;
    for (std::int64_t i = units * task / tasks; i < units * (task + 1) / tasks; ++i) {
      run_unit(units_[static_cast<std::size_t>(i)], scratch);
    }
  });
}

void Matmul::run_unit(const Unit& unit, float* scratch) {
  const MatmulJob& job = *unit.job;
  const auto count =
      static_cast<int>(std::min<std::int64_t>(kPanelsPerCall, job.weight->panels() - unit.panel));
  PanelView panels[kPanelsPerCall];
  PanelView up_panels[kPanelsPerCall];
  int columns = 0;
  for (int p = 0; p < count; ++p) {
    panels[p] = job.weight->panel(unit.panel + p);
    if (job.up != nullptr) up_panels[p] = job.up->panel(unit.panel + p);
    columns += panels[p].columns;
  }
  const auto kernel = kernels_.matmul[static_cast<int>(job.weight->format())];
  const std::int64_t offset = unit.panel * kPanelColumns;
  float* y[kRowBlock];
  float* up_rows[kRowBlock];
  for (std::int64_t r = 0; r < kRowBlock; ++r) up_rows[r] = scratch + r * kUnitColumns;

  for (std::size_t first = 0; first < job.x.size(); first += kRowBlock) {
    const auto rows = static_cast<int>(std::min<std::size_t>(kRowBlock, job.x.size() - first));
    for (int r = 0; r < rows; ++r) y[r] = job.y[first + static_cast<std::size_t>(r)] + offset;
    const float* const* x = job.x.data() + first;
    kernel(panels, count, x, y, rows);
    if (job.up == nullptr) continue;
    const auto up_kernel = kernels_.matmul[static_cast<int>(job.up->format())];
    up_kernel(up_panels, count, x, up_rows, rows);
    const auto gate = gate_ == GateFunction::kSilu ? kernels_.silu_mul : &gelu_mul;
    for (int r = 0; r < rows; ++r) gate(y[r], up_rows[r], columns);
  }
}

std::vector<const float*> const_rows(const float* base, std::int64_t stride, std::int64_t rows) {
  std::vector<const float*> out(static_cast<std::size_t>(rows));
  for (std::int64_t r = 0; r < rows; ++r) out[static_cast<std::size_t>(r)] = base + r * stride;
  return out;
}

std::vector<float*> mutable_rows(float* base, std::int64_t stride, std::int64_t rows) {
  std::vector<float*> out(static_cast<std::size_t>(rows));
  for (std::int64_t r = 0; r < rows; ++r) out[static_cast<std::size_t>(r)] = base + r * stride;
  return out;
}

}  // namespace tidegate::worker
