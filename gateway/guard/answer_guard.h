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
  /// `choices`: how many answers the request has; each is read by itself.
  AnswerGuard(GuardDesk& desk, GuardSubject subject, Content content = Content::kText, std::int32_t choices = 1);
  AnswerGuard(const AnswerGuard&) = delete;
  AnswerGuard& operator=(const AnswerGuard&) = delete;

  /// Changes `delta` into what may be handed over: its text, its usage (of each answer that of its last event all of
  /// whose text is through: held text is not charged, and what one answer holds makes no other free), and its end:
  /// kFiltered when something is denied, kError when the guard gave no verdict and failures are closed. True: that
  /// end is ours, the worker must stop; it ends all answers.
  awaitable<bool> pass(SequenceDelta& delta);
  /// Another worker begins the answer anew; nothing of it was handed over.
  void reset();

 private:
  /// Kinds of text in the order in which they are handed over; calls come behind them.
  enum Part : std::size_t { kReasoning, kContent, kParts };
  /// An event whose text is not through.
  struct Mark {
    std::array<std::size_t, kParts> ends;  ///< of the texts, as appended; one more when something of it is not
    std::size_t calls = 0;                 ///< begun by then
    TokenUsage usage;                      ///< the request's prompt, the answer's own completion
  };
  /// One of the request's answers.
  struct Side {
    explicit Side(std::size_t window) : parts{StreamWindow(window), StreamWindow(window)} {}
    std::array<StreamWindow, kParts> parts;
    SpellingStream spelling;   ///< of content that is JSON
    bool has_content = false;  ///< reasoning has ended
    ToolCallDeltas calls;      ///< begun and not handed over, one piece each
    std::size_t calls_begun = 0;
    std::size_t calls_through = 0;
    std::deque<Mark> marks;  ///< their number is bounded by the text
    TokenUsage through;      ///< of its last event that is
  };

  std::size_t window() const { return desk_.policy().window_bytes; }
  /// One text of a call that is whole: its name or its arguments.
  struct CallText {
    std::size_t call = 0;  ///< place in the side's calls
    bool is_name = false;
  };

  void take(Side& side, SequenceDelta& delta);
  std::string taken_content(Side& side, SequenceDelta& delta) const;
  static std::string& home_of(Side& side, const CallText& text);
  /// The first `count` calls, which are whole: views that last until they are handed over.
  static std::vector<CallText> show_calls(Side& side, std::size_t count, GuardCheck& check);
  static void hand_over_calls(Side& side, SequenceDelta& delta, std::size_t count);
  /// Takes what of this answer is through by now into through_.
  void settle_marks(Side& side);
  bool holds_nothing() const;

  GuardDesk& desk_;
  const GuardSubject subject_;
  const Content content_;
  GuardDesk::Told told_;
  std::deque<Side> sides_;  ///< by choice
  TokenUsage through_;      ///< of all of them
};

}  // namespace tidegate::gateway
