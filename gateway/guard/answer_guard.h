#pragma once

#include <array>
#include <cstddef>
#include <deque>
#include <utility>

#include "gateway/core/usage.h"
#include "gateway/dispatch/dispatcher.h"
#include "gateway/guard/guard_desk.h"
#include "gateway/guard/stream_window.h"

namespace tidegate::gateway {

/// Stands between a worker and its request's answer: what the worker said goes in, what may be handed over comes out,
/// with the usage that belongs to it. Text waits here only while a rule may still match it, three windows at most; the
/// same text comes out in whatever pieces it went in. One object a request, on its io thread.
class AnswerGuard {
 public:
  /// `desk` outlives it.
  AnswerGuard(GuardDesk& desk, GuardSubject subject)
      : desk_(desk), subject_(std::move(subject)), parts_{StreamWindow(window()), StreamWindow(window())} {}
  AnswerGuard(const AnswerGuard&) = delete;
  AnswerGuard& operator=(const AnswerGuard&) = delete;

  /// Changes `delta` into what may be handed over: its text, its usage (that of the last event all of whose text is
  /// through: held text is not charged), and its end: kFiltered when something is denied, kError when the guard gave
  /// no verdict and failures are closed. True: that end is ours, the worker must stop.
  awaitable<bool> pass(SequenceDelta& delta);
  /// Another worker begins the answer anew; nothing of it was handed over.
  void reset();

 private:
  /// Kinds of text in the order in which they are handed over. Arguments of tool calls, once answers have them, are one
  /// more: a window, a role and their place in pass().
  enum Part : std::size_t { kReasoning, kContent, kParts };
  struct Mark {
    std::array<std::size_t, kParts> ends;  ///< of the texts, as appended
    TokenUsage usage;
  };

  std::size_t window() const { return desk_.policy().window_bytes; }
  void take(SequenceDelta& delta);
  /// Usage of the last event that is through.
  void settle_marks();

  GuardDesk& desk_;
  const GuardSubject subject_;
  GuardDesk::Told told_;
  std::array<StreamWindow, kParts> parts_;
  std::deque<Mark> marks_;  ///< of events whose text is not through; their number is bounded by the text
  TokenUsage through_;
  bool has_content_ = false;  ///< reasoning has ended
};

}  // namespace tidegate::gateway
