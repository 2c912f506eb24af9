#include "base/core/metrics.h"

#include <atomic>

namespace tidegate {

const std::vector<double>& latency_bounds_seconds() {
  static const std::vector<double> kBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                              0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};
  return kBounds;
}

struct MemoryRegistry::Cell final : Counter, Gauge, Histogram {
  std::atomic<double> value{0};
  void add(double amount) override { value.fetch_add(amount); }
  void set(double amount) override { value.store(amount); }
  void observe(double) override { value.fetch_add(1); }
};

MemoryRegistry::Cell& MemoryRegistry::cell(std::string_view type, std::string_view name, std::string_view help,
                                           const Labels& labels) {
  const std::lock_guard lock(mutex_);
  std::string family = std::string(type) + " " + std::string(name) + "{";
  for (bool first = true; const auto& [key, unused] : labels) {
    if (!first) family += ",";
    family += key;
    first = false;
  }
  families_.try_emplace(std::string(name), family + "} " + std::string(help));
  auto& slot = cells_[{std::string(name), labels}];
  if (!slot) slot = std::make_shared<Cell>();
  return *slot;
}

Counter& MemoryRegistry::counter(std::string_view name, std::string_view help, const Labels& labels) {
  return cell("counter", name, help, labels);
}
Gauge& MemoryRegistry::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  return cell("gauge", name, help, labels);
}
Histogram& MemoryRegistry::histogram(std::string_view name, std::string_view help, const std::vector<double>&,
                                     const Labels& labels) {
  return cell("histogram", name, help, labels);
}

double MemoryRegistry::value(std::string_view name, const Labels& labels) const {
  const std::lock_guard lock(mutex_);
  const auto found = cells_.find({std::string(name), labels});
  return found == cells_.end() ? 0 : found->second->value.load();
}

std::vector<std::string> MemoryRegistry::names() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> lines;
  for (const auto& [name, line] : families_) lines.push_back(line);
  return lines;
}

}  // namespace tidegate
