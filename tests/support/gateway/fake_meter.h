#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "gateway/ports.h"

namespace tidegate::gateway::test {

/// Remembers every admission and what its charge was told. Prices a prompt token at 1 micro-unit and a completion
/// token at 2. Thread-safe.
class FakeMeter final : public Meter {
 public:
  struct Entry {
    AdmissionRequest request;
    std::vector<TokenUsage> accepted;
    std::vector<TokenUsage> progress;
    std::vector<FinalReport> settled;
    bool dropped_unsettled = false;
  };

  static Money price(const TokenUsage& usage) {
    return Money::from_pico(static_cast<Int128>(usage.prompt + 2 * usage.completion) * 1'000'000);
  }

  void fail_next_admit(Error error) {
    const std::lock_guard lock(mutex_);
    admit_error_ = std::move(error);
  }
  void fail_next_settle(Error error) {
    const std::lock_guard lock(mutex_);
    settle_error_ = std::move(error);
  }
  void set_price_until(Wall until) {
    const std::lock_guard lock(mutex_);
    price_until_ = until;
  }
  void set_quote(const std::string& model, Quote quote) {
    const std::lock_guard lock(mutex_);
    quotes_[model] = std::move(quote);
  }
  std::vector<Entry> entries() const {
    const std::lock_guard lock(mutex_);
    std::vector<Entry> copy;
    for (const auto& entry : entries_) copy.push_back(*entry);
    return copy;
  }
  Entry entry(std::size_t i) const { return entries().at(i); }
  std::size_t settled_count() const {
    std::size_t n = 0;
    for (const Entry& e : entries()) n += e.settled.size();
    return n;
  }

  awaitable<Result<std::unique_ptr<Charge>>> admit(AdmissionRequest request) override {
    const std::lock_guard lock(mutex_);
    if (admit_error_) co_return fail(*std::exchange(admit_error_, std::nullopt));
    entries_.push_back(std::make_shared<Entry>());
    entries_.back()->request = std::move(request);
    co_return std::unique_ptr<Charge>(new FakeCharge(*this, entries_.back()));
  }
  std::optional<Quote> quote(const Principal&, std::string_view model) const override {
    const std::lock_guard lock(mutex_);
    const auto found = quotes_.find(model);
    if (found == quotes_.end()) return std::nullopt;
    return found->second;
  }

  /// Pools of this region cost what those of every other cost.
  void share_price_with(const std::string& region) {
    const std::lock_guard lock(mutex_);
    same_price_region_ = region;
  }
  bool has_same_price(const Principal&, std::string_view, std::pair<std::string_view, std::string_view>,
                      std::pair<std::string_view, std::string_view> other) const override {
    const std::lock_guard lock(mutex_);
    return other.first == same_price_region_;
  }

 private:
  class FakeCharge final : public Charge {
   public:
    FakeCharge(FakeMeter& meter, std::shared_ptr<Entry> entry) : meter_(meter), entry_(std::move(entry)) {}
    ~FakeCharge() override {
      const std::lock_guard lock(meter_.mutex_);
      entry_->dropped_unsettled = entry_->settled.empty();
    }
    void on_accepted(const TokenUsage& usage, std::string_view) override {
      const std::lock_guard lock(meter_.mutex_);
      entry_->accepted.push_back(usage);
    }
    void on_progress(const TokenUsage& usage) override {
      const std::lock_guard lock(meter_.mutex_);
      entry_->progress.push_back(usage);
    }
    awaitable<Result<Settlement>> settle(FinalReport report) override {
      const std::lock_guard lock(meter_.mutex_);
      Settlement settlement;
      settlement.amount = price(report.usage);
      settlement.currency = "USD";
      settlement.band = "off-peak";
      settlement.price_version = "book/1";
      entry_->settled.push_back(std::move(report));
      if (meter_.settle_error_) co_return fail(*std::exchange(meter_.settle_error_, std::nullopt));
      co_return settlement;
    }
    std::string_view band() const override { return "off-peak"; }
    std::optional<Wall> price_until() const override {
      const std::lock_guard lock(meter_.mutex_);
      return meter_.price_until_;
    }

   private:
    FakeMeter& meter_;
    std::shared_ptr<Entry> entry_;  // shared with the meter, which remembers it
  };

  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Entry>> entries_;
  std::string same_price_region_ = "nowhere";
  std::optional<Error> admit_error_;
  std::optional<Error> settle_error_;
  std::optional<Wall> price_until_;
  std::map<std::string, Quote, std::less<>> quotes_;
};

}  // namespace tidegate::gateway::test
