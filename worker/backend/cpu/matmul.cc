#include "worker/backend/cpu/matmul.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/core/check.h"

namespace tidegate::worker {
namespace {

constexpr std::int64_t kUnitColumns = std::int64_t{kPanelColumns} * kPanelsPerCall;
/// Multiply-adds, or bytes of weights, worth waking another thread for: about 2 microseconds of one core either way.
constexpr std::int64_t kGrain = 40'000;
/// Tasks per thread: enough to even out, few enough that taking one costs nothing.
constexpr std::int64_t kTasksPerThread = 8;

/// Of few rows reading the weights is the work, of many the products are.
std::int64_t cost_of(const MatmulJob& job) {
  const auto cost = [&](const PackedMatrix& weight) {
    return std::max(static_cast<std::int64_t>(job.x.size()) * weight.outputs() * weight.inputs(),
                    static_cast<std::int64_t>(weight.bytes().size()));
  };
  return cost(*job.weight) + (job.up != nullptr ? cost(*job.up) : 0);
}

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
      scratch_(static_cast<std::size_t>(pool.threads() * kernels.rows_per_call * kUnitColumns)) {
  TG_CHECK(kernels.rows_per_call >= 1 && kernels.rows_per_call <= kCallRowsMax);
}

void Matmul::run(std::span<const MatmulJob> jobs) {
  narrow_inputs(jobs);
  std::int64_t cost = 0;
  std::int64_t panels = 0;
  for (const MatmulJob& job : jobs) {
    if (job.x.empty()) continue;
    cost += cost_of(job);
    panels += job.weight->panels();
  }
  if (panels == 0) return;
  const std::int64_t threads = pool_.threads();
  std::int64_t tasks = std::clamp<std::int64_t>(cost / kGrain, 1, threads * kTasksPerThread);
  if (tasks > 1) tasks = (tasks + threads - 1) / threads * threads;  // three for two threads would take as long as four
  // Two panels at once read a row once for both; one at a time where there would not be enough to share out.
  const std::int64_t panels_at_once = panels >= kPanelsPerCall * tasks ? kPanelsPerCall : 1;
  units_.clear();
  for (std::size_t j = 0; j < jobs.size(); ++j) {
    if (jobs[j].x.empty()) continue;
    for (std::int64_t panel = 0; panel < jobs[j].weight->panels(); panel += panels_at_once) {
      const auto count = static_cast<int>(std::min(panels_at_once, jobs[j].weight->panels() - panel));
      units_.push_back({&jobs[j], panel, count, narrow_starts_[j]});
    }
  }
  const auto units = static_cast<std::int64_t>(units_.size());
  tasks = std::min(tasks, units);
  pool_.run(tasks, [&](std::int64_t task, int thread) {
    float* scratch = scratch_.data() + thread * kernels_.rows_per_call * kUnitColumns;
    for (std::int64_t i = units * task / tasks; i < units * (task + 1) / tasks; ++i) {
      run_unit(units_[static_cast<std::size_t>(i)], scratch);
    }
  });
}

void Matmul::narrow_inputs(std::span<const MatmulJob> jobs) {
  narrow_starts_.assign(jobs.size(), -1);
  if (kernels_.narrow == nullptr) return;
  struct Row {
    const float* from;
    std::int64_t inputs;
    std::int64_t at;
  };
  std::vector<Row> rows;
  std::int64_t size = 0;
  std::int64_t inputs_max = 0;
  for (std::size_t j = 0; j < jobs.size(); ++j) {
    const MatmulJob& job = jobs[j];
    if (job.is_exact || kernels_.matmul_narrow[static_cast<int>(job.weight->format())] == nullptr) continue;
    narrow_starts_[j] = static_cast<std::int64_t>(rows.size());
    const std::int64_t inputs = job.weight->inputs();
    inputs_max = std::max(inputs_max, inputs);
    for (const float* row : job.x) {
      rows.push_back({row, inputs, size});
      size += narrow_room(inputs);
    }
  }
  narrow_.grow(static_cast<std::size_t>(size));
  narrow_rows_.resize(rows.size());
  for (std::size_t r = 0; r < rows.size(); ++r) narrow_rows_[r] = narrow_.data() + rows[r].at;
  pool_.run_rows(std::ssize(rows), inputs_max / 2, [&](std::int64_t r) {
    const Row& row = rows[static_cast<std::size_t>(r)];
    kernels_.narrow(row.from, narrow_.data() + row.at, row.inputs);
  });
}

void Matmul::multiply(const Unit& unit, const PackedMatrix& weight, const PanelView* panels, int count, std::size_t first,
                      float* const* y, int rows) const {
  const auto format = static_cast<int>(weight.format());
  if (unit.narrow >= 0 && kernels_.matmul_narrow[format] != nullptr) {
    const std::size_t row = static_cast<std::size_t>(unit.narrow) + first;
    kernels_.matmul_narrow[format](panels, count, narrow_rows_.data() + row, y, rows);
  } else {
    TG_CHECK(kernels_.matmul[format] != nullptr);  // weights packed for other kernels, or an exact job over pairs
    kernels_.matmul[format](panels, count, unit.job->x.data() + first, y, rows);
  }
}

void Matmul::run_unit(const Unit& unit, float* scratch) {
  const MatmulJob& job = *unit.job;
  const int count = unit.count;
  PanelView panels[kPanelsPerCall];
  PanelView up_panels[kPanelsPerCall];
  int columns = 0;
  for (int p = 0; p < count; ++p) {
    panels[p] = job.weight->panel(unit.panel + p);
    if (job.up != nullptr) up_panels[p] = job.up->panel(unit.panel + p);
    columns += panels[p].columns;
  }
  const std::int64_t offset = unit.panel * kPanelColumns;
  float* y[kCallRowsMax];
  float* up_rows[kCallRowsMax];
  const auto rows_max = static_cast<std::size_t>(kernels_.rows_per_call);
  for (std::size_t r = 0; r < std::min(rows_max, job.x.size()); ++r) up_rows[r] = scratch + static_cast<std::int64_t>(r) * kUnitColumns;

  for (std::size_t first = 0; first < job.x.size(); first += rows_max) {
    const auto rows = static_cast<int>(std::min(rows_max, job.x.size() - first));
    for (int r = 0; r < rows; ++r) y[r] = job.y[first + static_cast<std::size_t>(r)] + offset;
    multiply(unit, *job.weight, panels, count, first, y, rows);
    if (job.up == nullptr) continue;
    multiply(unit, *job.up, up_panels, count, first, up_rows, rows);
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
