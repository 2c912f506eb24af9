#pragma once

#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidegate {

/// Handles are resolved once, at start, and kept in a struct per service. Updating one is lock-free in production.
class Counter {
 public:
  virtual ~Counter() = default;
  virtual void add(double amount = 1) = 0;
};
class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void set(double value) = 0;
  virtual void add(double amount) = 0;
};
class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void observe(double value) = 0;
};

using Labels = std::map<std::string, std::string>;

/// Names are literals `tidegate_<service>_<noun>_<unit>`; label values come from enums or bounded sets, never from
/// users. Handles live as long as the registry. Asking twice for the same name and labels gives the same handle.
/// Thread-safe.
class MetricRegistry {
 public:
  virtual ~MetricRegistry() = default;
  virtual Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {}) = 0;
  virtual Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {}) = 0;
  virtual Histogram& histogram(std::string_view name, std::string_view help, const std::vector<double>& bounds,
                               const Labels& labels = {}) = 0;
};

/// Seconds from 100 us to 60 s: the bounds of every latency histogram.
const std::vector<double>& latency_bounds_seconds();

/// Keeps values in memory: for tests, and to list names for the golden file.
class MemoryRegistry final : public MetricRegistry {
 public:
  Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {}) override;
  Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {}) override;
  Histogram& histogram(std::string_view name, std::string_view help, const std::vector<double>& bounds,
                       const Labels& labels = {}) override;

  /// Value of a counter or gauge, or number of observations; 0 when absent.
  double value(std::string_view name, const Labels& labels = {}) const;
  /// "type name{label,label} help" per family, sorted.
  std::vector<std::string> names() const;

 private:
  struct Cell;
  Cell& cell(std::string_view type, std::string_view name, std::string_view help, const Labels& labels);
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, Labels>, std::shared_ptr<Cell>> cells_;  // shared_ptr: Cell is incomplete here
  std::map<std::string, std::string> families_;
};

}  // namespace tidegate
