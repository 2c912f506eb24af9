#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "gateway/rate_gate.h"

namespace tidegate::gateway::test {

/// Admits everything and remembers what each permit was told, until a test makes it refuse. Thread-safe.
class FakeRateGate final : public RateGate {
 public:
  struct Entry {
    RateRequest request;
    std::vector<std::int64_t> shrunk;
    std::vector<std::int64_t> settled;
    bool is_open = true;
  };

  void refuse_next(Refusal refusal) {
    const std::lock_guard lock(mutex_);
    refusal_ = std::move(refusal);
  }
  void set_status(RateStatus status) {
    const std::lock_guard lock(mutex_);
    status_ = status;
  }
  std::vector<Entry> entries() const {
    const std::lock_guard lock(mutex_);
    std::vector<Entry> copy;
    for (const auto& entry : entries_) copy.push_back(*entry);
    return copy;
  }
  Entry entry(std::size_t i) const { return entries().at(i); }

  awaitable<RateAdmission> admit(RateRequest request) override {
    RateAdmission out;
    const std::lock_guard lock(mutex_);
    out.status = status_;
    if (refusal_) {
      out.refused = std::exchange(refusal_, std::nullopt);
    } else {
      entries_.push_back(std::make_shared<Entry>());
      entries_.back()->request = std::move(request);
      out.permit = std::make_unique<FakePermit>(*this, entries_.back());
    }
    co_return out;
  }

 private:
  class FakePermit final : public RatePermit {
   public:
    FakePermit(FakeRateGate& gate, std::shared_ptr<Entry> entry) : gate_(gate), entry_(std::move(entry)) {}
    ~FakePermit() override {
      const std::lock_guard lock(gate_.mutex_);
      entry_->is_open = false;
    }
    void shrink(std::int64_t tokens_max) override {
      const std::lock_guard lock(gate_.mutex_);
      entry_->shrunk.push_back(tokens_max);
    }
    void settle(std::int64_t tokens) override {
      const std::lock_guard lock(gate_.mutex_);
      entry_->settled.push_back(tokens);
    }

   private:
    FakeRateGate& gate_;
    std::shared_ptr<Entry> entry_;  // shared with the gate, which remembers it
  };

  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Entry>> entries_;
  std::optional<Refusal> refusal_;
  RateStatus status_;
};

}  // namespace tidegate::gateway::test
