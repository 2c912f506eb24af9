#pragma once

#include <algorithm>
#include <atomic>
#include <boost/asio/this_coro.hpp>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/net/signal.h"
#include "gateway/guard/guard.h"

namespace tidegate::gateway::test {

/// Denies pieces that hold "forbidden", masks "secret" as "[x]", and waits for the rest of either word; lets everything
/// else through. Remembers what it was shown. Thread-safe.
class FakeGuard final : public Guard {
 public:
  struct Seen {
    GuardDirection direction;
    std::vector<std::string> roles, contexts, pieces;
    std::vector<bool> is_last;
  };

  void fail_next_check(Error error) {
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
  }
  /// The next check has no end of its own: its asker gives it up.
  void hang_next_check() {
    const std::lock_guard lock(mutex_);
    hangs_ = true;
  }
  /// No rule of its is for answers. Before requests.
  void read_no_answers() { reads_answers_ = false; }
  bool reads_answers(const GuardSubject&) const override { return reads_answers_; }
  int hanging() const { return hanging_.load(); }
  int given_up() const { return given_up_.load(); }
  void answer_next_check(GuardVerdict verdict) {
    const std::lock_guard lock(mutex_);
    verdict_ = std::move(verdict);
  }
  std::vector<Seen> seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

  awaitable<Result<GuardVerdict>> check(const GuardCheck& check) override {
    if (show(check)) {
      const Hang hang(*this);
      const auto executor = co_await asio::this_coro::executor;
      Event never(executor);
      co_await never.wait();
    }
    const std::lock_guard lock(mutex_);
    if (error_) co_return fail(*std::exchange(error_, std::nullopt));
    if (verdict_) co_return *std::exchange(verdict_, std::nullopt);
    co_return judge(check);
  }

 private:
  struct Hang {
    explicit Hang(FakeGuard& guard_in) : guard(guard_in) { ++guard.hanging_; }
    ~Hang() {
      --guard.hanging_;
      ++guard.given_up_;
    }
    Hang(const Hang&) = delete;
    Hang& operator=(const Hang&) = delete;
    FakeGuard& guard;
  };

  /// True: this one hangs.
  bool show(const GuardCheck& check) {
    const std::lock_guard lock(mutex_);
    Seen shown{check.direction, {}, {}, {}, {}};
    for (const GuardText& text : check.texts) {
      shown.roles.emplace_back(text.role);
      shown.contexts.emplace_back(text.context());
      shown.pieces.emplace_back(text.piece());
      shown.is_last.push_back(text.is_last);
    }
    seen_.push_back(std::move(shown));
    return std::exchange(hangs_, false);
  }

  /// Bytes at the end of `piece` that may be the beginning of `word`.
  static std::size_t begun(std::string_view piece, std::string_view word) {
    for (std::size_t length = std::min(piece.size(), word.size() - 1); length > 0; --length) {
      if (piece.ends_with(word.substr(0, length))) return length;
    }
    return 0;
  }
  static GuardVerdict judge(const GuardCheck& check) {
    constexpr std::string_view kSecret = "secret", kForbidden = "forbidden";
    GuardVerdict verdict;
    for (std::size_t i = 0; i < check.texts.size(); ++i) {
      const std::string_view piece = check.texts[i].piece();
      const auto denied = verdict.denial ? std::size_t{0} : piece.find(kForbidden);
      const std::size_t end = std::min(denied, piece.size());
      for (auto at = piece.find(kSecret); at < end; at = piece.find(kSecret, at + 1)) {
        verdict.spans.push_back({i, at, at + kSecret.size(), "[x]"});
      }
      if (denied != std::string_view::npos) {
        if (!verdict.denial) verdict.denial = GuardDenial{"fake", "no", i};
        verdict.decided.push_back(end);
        continue;
      }
      const std::size_t open = check.texts[i].is_last ? 0 : std::max(begun(piece, kSecret), begun(piece, kForbidden));
      verdict.decided.push_back(piece.size() - open);
    }
    return verdict;
  }

  mutable std::mutex mutex_;
  std::vector<Seen> seen_;
  std::optional<Error> error_;
  std::optional<GuardVerdict> verdict_;
  bool hangs_ = false;
  std::atomic<bool> reads_answers_ = true;
  std::atomic<int> hanging_ = 0;
  std::atomic<int> given_up_ = 0;
};

}  // namespace tidegate::gateway::test
