#include "scheduler/sim/sim_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/json/json.h"

namespace tidegate::scheduler {

namespace {

constexpr std::size_t kColumns = 96;
constexpr int kRows = 10;

double saved_percent(const SimFigures& one) {
  return one.static_hours > 0 ? 100 * (1 - one.outcome.accelerator_hours / one.static_hours) : 0;
}

double mean_ttft(const SimOutcome& out) {
  return out.counts.served == 0 ? 0 : out.counts.ttft_sum_s / static_cast<double>(out.counts.served);
}

json::array numbers(const std::vector<double>& values) {
  json::array out;
  for (const double value : values) out.push_back(std::round(value * 1'000) / 1'000);
  return out;
}

/// Means of as many neighbours as it takes to fit the chart.
std::vector<double> fitted(const std::vector<double>& values) {
  if (values.size() <= kColumns) return values;
  std::vector<double> out;
  for (std::size_t i = 0; i < kColumns; ++i) {
    const std::size_t from = i * values.size() / kColumns;
    const std::size_t to = std::max(from + 1, (i + 1) * values.size() / kColumns);
    double sum = 0;
    for (std::size_t j = from; j < to; ++j) sum += values[j];
    out.push_back(sum / static_cast<double>(to - from));
  }
  return out;
}

std::string chart(const SimOutcome& out) {
  const auto replicas = fitted(out.replicas_by_quarter);
  const auto arrivals = fitted(out.arrivals_by_quarter);
  if (replicas.empty()) return "  (less than a quarter-hour: no chart)\n";
  const double most = std::max(1.0, *std::max_element(replicas.begin(), replicas.end()));
  const double busiest = std::max(1e-9, *std::max_element(arrivals.begin(), arrivals.end()));
  std::string text;
  for (int row = kRows; row >= 1; --row) {
    text += fmt::format("{:>6.1f} |", most * row / kRows);
    for (std::size_t i = 0; i < replicas.size(); ++i) {
      const bool has_bar = replicas[i] > most * (row - 0.5) / kRows;
      const bool has_point = static_cast<int>(std::ceil(arrivals[i] / busiest * kRows)) == row;
      text += has_point ? '*' : has_bar ? '#' : ' ';
    }
    text += '\n';
  }
  text += "       +" + std::string(replicas.size(), '-') + '\n';
  text += fmt::format("        # replicas, * requests per second (top: {:.1f})\n", busiest);
  return text;
}

}  // namespace

std::string sim_json(const std::vector<SimFigures>& figures, const SimSettings& settings) {
  json::object document;
  document["seed"] = settings.seed;
  document["warm_days"] = settings.warm_days;
  document["days"] = settings.days;
  json::array list;
  double hours = 0;
  double static_hours = 0;
  double cost = 0;
  for (const SimFigures& one : figures) {
    const SimOutcome& out = one.outcome;
    json::object entry;
    entry["deployment"] = json::string(out.deployment.data(), out.deployment.size());
    entry["gpu_hours"] = out.accelerator_hours;
    entry["cost_micros"] = std::llround(out.cost_micros);
    entry["slo_share"] = out.slo_share();
    entry["requests"] = out.counts.arrivals;
    entry["refused"] = out.counts.refused;
    entry["ttft_mean_s"] = mean_ttft(out);
    entry["replicas_least"] = out.replicas_least;
    entry["replicas_most"] = out.replicas_most;
    entry["ups"] = out.ups;
    entry["downs"] = out.downs;
    entry["reversals"] = out.reversals;
    entry["reversals_per_hour_max"] = out.reversals_per_hour_max;
    if (one.static_replicas > 0) {
      entry["static_replicas"] = one.static_replicas;
      entry["static_gpu_hours"] = one.static_hours;
      entry["saved_percent"] = saved_percent(one);
    }
    entry["last_why"] = json::string(out.last_why.data(), out.last_why.size());
    entry["replicas_by_quarter"] = numbers(out.replicas_by_quarter);
    entry["arrivals_by_quarter"] = numbers(out.arrivals_by_quarter);
    list.push_back(std::move(entry));
    hours += out.accelerator_hours;
    static_hours += one.static_hours;
    cost += out.cost_micros;
  }
  document["deployments"] = std::move(list);
  json::object total;
  total["gpu_hours"] = hours;
  total["cost_micros"] = std::llround(cost);
  if (static_hours > 0) {
    total["static_gpu_hours"] = static_hours;
    total["saved_percent"] = 100 * (1 - hours / static_hours);
  }
  document["total"] = std::move(total);
  return json::serialize(document);
}

std::string sim_chart(const std::vector<SimFigures>& figures) {
  std::string text;
  for (const SimFigures& one : figures) {
    const SimOutcome& out = one.outcome;
    text += fmt::format(
        "{}: {:.0f} GPU-hours, {:.2f} % in time, mean TTFT {:.2f} s, {} to {} replicas, {} up, {} down, at most {} "
        "reversals in an hour, cost {:.2f}\n",
        out.deployment, out.accelerator_hours, 100 * out.slo_share(), mean_ttft(out), out.replicas_least,
        out.replicas_most, out.ups, out.downs, out.reversals_per_hour_max, out.cost_micros / 1e6);
    if (one.static_replicas > 0) {
      text += fmt::format("  beside {} replicas all the time, {:.0f} GPU-hours: {:.1f} % saved\n", one.static_replicas,
                          one.static_hours, saved_percent(one));
    }
    text += chart(out);
  }
  return text;
}

}  // namespace tidegate::scheduler
