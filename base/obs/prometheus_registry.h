#pragma once

#include <memory>
#include <string>

#include "base/core/metrics.h"

namespace tidegate {

/// MetricRegistry on prometheus-cpp. Resolve handles once, at start: looking one up takes a lock; updating one is an
/// atomic. A name has one kind, one help text and one set of bounds: anything else is a bug and aborts. Thread-safe.
class PrometheusRegistry final : public MetricRegistry {
 public:
  PrometheusRegistry();
  ~PrometheusRegistry() override;

  Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {}) override;
  Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {}) override;
  Histogram& histogram(std::string_view name, std::string_view help, const std::vector<double>& bounds,
                       const Labels& labels = {}) override;

  /// Everything, in the text exposition format 0.0.4.
  std::string serialize() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tidegate
