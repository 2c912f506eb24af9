#include "base/obs/prometheus_registry.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <mutex>

#include "base/core/check.h"

namespace tidegate {

namespace {

class CounterHandle final : public Counter {
 public:
  explicit CounterHandle(prometheus::Counter& counter) : counter_(counter) {}
  void add(double amount) override { counter_.Increment(amount); }

 private:
  prometheus::Counter& counter_;
};

class GaugeHandle final : public Gauge {
 public:
  explicit GaugeHandle(prometheus::Gauge& gauge) : gauge_(gauge) {}
  void set(double value) override { gauge_.Set(value); }
  void add(double amount) override { gauge_.Increment(amount); }

 private:
  prometheus::Gauge& gauge_;
};

class HistogramHandle final : public Histogram {
 public:
  explicit HistogramHandle(prometheus::Histogram& histogram) : histogram_(histogram) {}
  void observe(double value) override { histogram_.Observe(value); }

 private:
  prometheus::Histogram& histogram_;
};

}  // namespace

struct PrometheusRegistry::State {
  struct Family {
    std::string kind;
    std::string help;
    std::vector<double> bounds;
    void* family = nullptr;  ///< prometheus::Family<T>*, T by `kind`
  };
  template <typename Handle>
  using Handles = std::map<std::pair<std::string, Labels>, std::unique_ptr<Handle>>;

  /// The family of that name, made by `build` the first time.
  template <typename T, typename Build>
  prometheus::Family<T>& family(std::string_view kind, std::string_view name, std::string_view help,
                                const std::vector<double>& bounds, Build build) {
    auto [at, is_new] = families.try_emplace(std::string(name));
    Family& family = at->second;
    if (is_new) {
      family = {std::string(kind), std::string(help), bounds, nullptr};
      family.family = &build().Name(std::string(name)).Help(std::string(help)).Register(registry);
    }
    TG_CHECK(family.kind == kind && family.help == help && family.bounds == bounds);
    return *static_cast<prometheus::Family<T>*>(family.family);
  }

  mutable std::mutex mutex;
  prometheus::Registry registry;
  std::map<std::string, Family, std::less<>> families;
  Handles<CounterHandle> counters;
  Handles<GaugeHandle> gauges;
  Handles<HistogramHandle> histograms;
};

PrometheusRegistry::PrometheusRegistry() : state_(std::make_unique<State>()) {}
PrometheusRegistry::~PrometheusRegistry() = default;

Counter& PrometheusRegistry::counter(std::string_view name, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(state_->mutex);
  auto& family =
      state_->family<prometheus::Counter>("counter", name, help, {}, [] { return prometheus::BuildCounter(); });
  auto& handle = state_->counters[{std::string(name), labels}];
  if (!handle) handle = std::make_unique<CounterHandle>(family.Add(labels));
  return *handle;
}

Gauge& PrometheusRegistry::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  const std::lock_guard lock(state_->mutex);
  auto& family = state_->family<prometheus::Gauge>("gauge", name, help, {}, [] { return prometheus::BuildGauge(); });
  auto& handle = state_->gauges[{std::string(name), labels}];
  if (!handle) handle = std::make_unique<GaugeHandle>(family.Add(labels));
  return *handle;
}

Histogram& PrometheusRegistry::histogram(std::string_view name, std::string_view help,
                                         const std::vector<double>& bounds, const Labels& labels) {
  const std::lock_guard lock(state_->mutex);
  auto& family = state_->family<prometheus::Histogram>("histogram", name, help, bounds,
                                                       [] { return prometheus::BuildHistogram(); });
  auto& handle = state_->histograms[{std::string(name), labels}];
  if (!handle) handle = std::make_unique<HistogramHandle>(family.Add(labels, bounds));
  return *handle;
}

std::string PrometheusRegistry::serialize() const {
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace tidegate
