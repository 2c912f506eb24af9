#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string_view>
#include <utility>

#include "base/core/clock.h"

namespace tidegate::worker {

/// What a worker does between its start and its first token, in this order.
enum class LoadPhase : std::uint8_t {
  kPull,    ///< the model's files are found, opened and their headers read; nothing is fetched from elsewhere
  kVerify,  ///< every byte of the weights is read for their digest
  kLoad,    ///< weights are widened or repacked into memory
  kWarm,    ///< memory for the KV cache, the tokenizer, the threads
  kHealthy,
};

constexpr std::string_view load_phase_name(LoadPhase phase) {
  switch (phase) {
    case LoadPhase::kPull: return "pull";
    case LoadPhase::kVerify: return "verify";
    case LoadPhase::kLoad: return "load";
    case LoadPhase::kWarm: return "warm";
    case LoadPhase::kHealthy: return "healthy";
  }
  return "";
}

/// Where loading is. Written by the thread that loads, read by others. Thread-safe.
class LoadProgress {
 public:
  struct View {
    LoadPhase phase = LoadPhase::kPull;
    std::int64_t bytes = 0;
    std::int64_t bytes_total = 0;  ///< 0: this phase counts none
    Duration in_phase{};
    Duration until_healthy{};  ///< zero before
  };

  /// `clock` outlives it.
  explicit LoadProgress(const Clock& clock) : clock_(clock), began_(clock.mono()), phase_began_(began_) {}

  /// Called after each new phase, on the thread that loads. Set before loading begins.
  void on_phase(std::function<void()> told) { told_ = std::move(told); }

  void enter(LoadPhase phase, std::int64_t bytes_total = 0) {
    {
      const std::lock_guard lock(mutex_);
      view_.phase = phase;
      view_.bytes = 0;
      view_.bytes_total = bytes_total;
      phase_began_ = clock_.mono();
      if (phase == LoadPhase::kHealthy) view_.until_healthy = phase_began_ - began_;
    }
    if (told_) told_();
  }
  void add(std::int64_t bytes) {
    const std::lock_guard lock(mutex_);
    view_.bytes += bytes;
  }
  View view() const {
    const std::lock_guard lock(mutex_);
    View now = view_;
    now.in_phase = clock_.mono() - phase_began_;
    return now;
  }

 private:
  const Clock& clock_;
  std::function<void()> told_;
  mutable std::mutex mutex_;
  const Mono began_;
  Mono phase_began_;
  View view_;
};

}  // namespace tidegate::worker
