#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "gateway/core/settlement.h"
#include "gateway/core/token_logprob.h"
#include "gateway/core/tool_call.h"
#include "gateway/core/usage.h"

namespace tidegate::gateway {

/// What is handed over of one answer: a piece of it, or all of it.
struct AnswerPart {
  std::int32_t choice = 0;    ///< whose of the request's answers
  std::string reasoning;
  std::string content;
  ToolCallDeltas tool_calls;
  TokenLogprobs logprobs;     ///< of tokens of this text and of text before it; empty unless they were asked for
  std::string finish_reason;  ///< stop | length | tool_calls | content_filter; "" = the answer goes on
  std::string stop_text;      ///< the stop string that ended it; "" when the model ended by itself
  std::vector<float> embedding = {};  ///< in place of all text: the vector of the request's text number `choice`

  bool has_text() const { return !reasoning.empty() || !content.empty() || !tool_calls.empty(); }

  /// `more` of the same answer came behind this.
  void append(AnswerPart more) {
    reasoning += more.reasoning;
    content += more.content;
    append_calls(tool_calls, std::move(more.tool_calls));
    append_logprobs(logprobs, std::move(more.logprobs));
    if (!more.finish_reason.empty()) finish_reason = std::move(more.finish_reason);
    if (!more.stop_text.empty()) stop_text = std::move(more.stop_text);
    if (!more.embedding.empty()) embedding = std::move(more.embedding);
  }
};

/// The end of a request's answers.
struct AnswerEnd {
  std::string reasoning;      ///< text that came with the last event
  std::string content;
  ToolCallDeltas tool_calls;  ///< of the last event too; of a whole answer all of them, one piece each
  std::string finish_reason;  ///< stop | length | tool_calls | content_filter
  std::string stop_text;      ///< the stop string that ended it; "" when the model ended by itself
  TokenUsage usage;           ///< of all answers, the prompt counted once
  Settlement settlement;
  TokenLogprobs logprobs = {};
  std::int32_t choice = 0;    ///< whose end this is; of whole answers the first one's
  /// Of several answers. In a stream: those that end here as well, without text. Else: all others, whole, in order.
  std::vector<AnswerPart> others = {};
  std::vector<std::string> finish_reasons = {};  ///< of several answers: of each, in order
  std::vector<float> embedding = {};             ///< as in a part

  /// The text and the end of `choice`, moved out.
  AnswerPart take_part() {
    AnswerPart part;
    part.choice = choice;
    part.reasoning = std::exchange(reasoning, {});
    part.content = std::exchange(content, {});
    part.tool_calls = std::exchange(tool_calls, {});
    part.logprobs = std::exchange(logprobs, {});
    part.finish_reason = finish_reason;
    part.stop_text = stop_text;
    part.embedding = std::exchange(embedding, {});
    return part;
  }
};

/// For edges that hand answers over whole: what came of each, joined.
class CollectedAnswers {
 public:
  void add(AnswerPart part) {
    while (std::ssize(answers_) <= part.choice) {
      answers_.emplace_back();
      answers_.back().choice = static_cast<std::int32_t>(answers_.size()) - 1;
    }
    answers_[static_cast<std::size_t>(part.choice)].append(std::move(part));
  }
  void clear() { answers_.clear(); }

  /// The end with all of every answer. Nothing is left here.
  AnswerEnd whole(AnswerEnd end) {
    add(end.take_part());
    for (AnswerPart& other : end.others) add(std::move(other));
    AnswerPart first = std::move(answers_.front());
    end.choice = 0;
    end.reasoning = std::move(first.reasoning);
    end.content = std::move(first.content);
    end.finish_reason = std::move(first.finish_reason);
    end.stop_text = std::move(first.stop_text);
    end.tool_calls = std::move(first.tool_calls);
    end.logprobs = std::move(first.logprobs);
    end.embedding = std::move(first.embedding);
    end.others.assign(std::make_move_iterator(answers_.begin() + 1), std::make_move_iterator(answers_.end()));
    answers_.clear();
    return end;
  }

 private:
  std::vector<AnswerPart> answers_;  ///< by choice; calls in one piece each
};

}  // namespace tidegate::gateway
