#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "gateway/core/tool_call.h"
#include "gateway/core/usage.h"
#include "gateway/dispatch/dispatcher.h"
#include "gateway/guard/guard_desk.h"
#include "gateway/guard/guard_text.h"
#include "gateway/guard/stream_window.h"

namespace tidegate::gateway {

/// Stands between a worker and its request's answer: what the worker said goes in, what may be handed over comes out,
/// with the usage that belongs to it. Text waits here only while a rule may still match it, three windows at most; the
/// same text comes out in whatever pieces it went in. A call of a tool waits for its last piece: what is run by its
/// receiver is read whole, and handed over whole or not at all. One object a request, on its io thread.
class AnswerGuard {
 public:
  /// What the answer's content is, by the format that its request asked for. In JSON the escapes of plain characters are
  /// written out before a rule looks, and so handed over: no rule finds a word in "\u0066orbidden".
  enum class Content : std::uint8_t { kText, kJson };

  /// `desk` outlives it.
  AnswerGuard(GuardDesk& desk, GuardSubject subject, Content content = Content::kText)
      : desk_(desk),
        subject_(std::move(subject)),
        content_(content),
        parts_{StreamWindow(window()), StreamWindow(window())} {}
  AnswerGuard(const AnswerGuard&) = delete;
  AnswerGuard& operator=(const AnswerGuard&) = delete;

  /// Changes `delta` into what may be handed over: its text, its usage (that of the last event all of whose text is
  /// through: held text is not charged), and its end: kFiltered when something is denied, kError when the guard gave
  /// no verdict and failures are closed. True: that end is ours, the worker must stop.
  awaitable<bool> pass(SequenceDelta& delta);
  /// Another worker begins the answer anew; nothing of it was handed over.
  void reset();

 private:
  /// Kinds of text in the order in which they are handed over; calls come behind them.
  enum Part : std::size_t { kReasoning, kContent, kParts };
  struct Mark {
    std::array<std::size_t, kParts> ends;  ///< of the texts, as appended; one more when something of it is not
    std::size_t calls = 0;                 ///< begun by then
    TokenUsage usage;
  };

  std::size_t window() const { return desk_.policy().window_bytes; }
  /// One text of a call that is whole: its name or its arguments.
  struct CallText {
    std::size_t call = 0;  ///< place in calls_
    bool is_name = false;
  };

  void take(SequenceDelta& delta);
  std::string taken_content(SequenceDelta& delta);
  std::string& home_of(const CallText& text);
  /// The first `count` calls, which are whole: views that last until they are handed over.
  std::vector<CallText> show_calls(std::size_t count, GuardCheck& check);
  void hand_over_calls(SequenceDelta& delta, std::size_t count);
  /// Usage of the last event that is through.
  void settle_marks();

  GuardDesk& desk_;
  const GuardSubject subject_;
  const Content content_;
  SpellingStream spelling_;  ///< of content that is JSON
  GuardDesk::Told told_;
  std::array<StreamWindow, kParts> parts_;
  std::deque<Mark> marks_;  ///< of events whose text is not through; their number is bounded by the text
  TokenUsage through_;
  bool has_content_ = false;  ///< reasoning has ended
  ToolCallDeltas calls_;      ///< begun and not handed over, one piece each
  std::size_t calls_begun_ = 0;
  std::size_t calls_through_ = 0;
};

}  // namespace tidegate::gateway
