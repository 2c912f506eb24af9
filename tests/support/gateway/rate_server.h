#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "gateway/core/rate_limiter.h"

namespace tidegate::gateway::test {

/// What the limiter's script does in Redis, in C++ and under a clock that the test moves. The integration test holds it
/// against the script on a real server. One thread.
class RateServer {
 public:
  static constexpr std::int64_t kPresenceMs = 5'000;

  std::int64_t now_ms = 1'795'248'000'000;  ///< 2026-11-21T08:00:00Z, the beginning of a minute
  int calls = 0;

  RateReply run(const std::string& gateway, std::uint64_t epoch, const RateCall& call) {
    ++calls;
    if (call.is_beat) lives_[gateway] = {epoch, now_ms + kPresenceMs};
    std::erase_if(lives_, [&](const auto& life) { return life.second.expires_ms <= now_ms; });
    RateReply reply;
    reply.server_ms = now_ms;
    reply.gateways = std::ssize(lives_);
    std::vector<std::int64_t> left;
    std::set<std::size_t> is_short;
    for (const RateAsk& ask : call.asks) {
      left.push_back(ask.span_ms > 0 ? left_of_window(ask) : left_of_slots(ask, gateway));
      if (left.back() < ask.least) is_short.insert(ask.group);
    }
    for (std::size_t i = 0; i < call.asks.size(); ++i) {
      const RateAsk& ask = call.asks[i];
      std::int64_t granted = is_short.contains(ask.group) ? 0 : std::min(ask.want, left[i]);
      RateAnswer answer;
      if (ask.span_ms > 0) {
        answer.window = now_ms / ask.span_ms;
        windows_[ask.key].used += granted;
      } else {
        granted = std::max(granted, ask.mark);
        slots_[ask.key][gateway] = {epoch, granted, now_ms + kRateSlotsLife.count()};
      }
      answer.granted = granted;
      answer.left = std::max<std::int64_t>(left[i] - granted, 0);
      reply.answers.push_back(answer);
    }
    return reply;
  }

  /// Of the window that is now.
  std::int64_t used(const RateKey& key, std::int64_t span_ms) const {
    const auto found = windows_.find(key);
    return found != windows_.end() && found->second.window == now_ms / span_ms ? found->second.used : 0;
  }
  void forget_everything() {
    windows_.clear();
    slots_.clear();
    lives_.clear();
  }

 private:
  struct Window {
    std::int64_t window = -1;
    std::int64_t used = 0;
  };
  struct Slots {
    std::uint64_t epoch = 0;
    std::int64_t slots = 0;
    std::int64_t expires_ms = 0;
  };
  struct Life {
    std::uint64_t epoch = 0;
    std::int64_t expires_ms = 0;
  };

  std::int64_t left_of_window(const RateAsk& ask) {
    Window& held = windows_[ask.key];
    const std::int64_t window = now_ms / ask.span_ms;
    if (held.window != window) held = {window, 0};
    if (ask.mark == window) held.used = std::max<std::int64_t>(held.used + ask.adjust, 0);
    return std::max<std::int64_t>(ask.limit - held.used, 0);
  }
  std::int64_t left_of_slots(const RateAsk& ask, const std::string& gateway) {
    std::int64_t others = 0;
    for (const auto& [who, held] : slots_[ask.key]) {
      const auto life = lives_.find(who);
      const bool is_dead = held.expires_ms <= now_ms || (life != lives_.end() && life->second.epoch != held.epoch);
      if (who != gateway && !is_dead) others += held.slots;
    }
    return std::max<std::int64_t>(ask.limit - others, 0);
  }

  std::unordered_map<RateKey, Window> windows_;
  std::unordered_map<RateKey, std::map<std::string, Slots>> slots_;
  std::map<std::string, Life> lives_;
};

}  // namespace tidegate::gateway::test
