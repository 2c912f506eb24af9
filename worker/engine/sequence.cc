#include "worker/engine/sequence.h"

#include <algorithm>
#include <utility>

#include "base/core/check.h"

namespace tidegate::worker {

Sequence::Sequence(Request request, KvPool& pool)
    : handle_(request.handle),
      sampler_(request.sampler),
      completion_max_(request.completion_max),
      tokens_(std::move(request.prompt)),
      prompt_tokens_(static_cast<std::int32_t>(tokens_.size())),
      blocks_(pool),
      answer_(std::move(request.stops), request.start, std::move(request.tools)),
      constraint_(std::move(request.constraint)) {
  TG_CHECK(!tokens_.empty() && completion_max_ > 0);
}

SequenceEvent Sequence::accept() {
  accepted_ = true;
  usage_.prompt_tokens = prompt_tokens_;
  return {.handle = handle_, .accepted = true, .usage = usage_};
}

void Sequence::advance(std::int32_t count) {
  computed_ += count;
  TG_DCHECK(computed_ <= length());
}

void Sequence::preempt() {
  blocks_.release();
  computed_ = 0;
}

SequenceEvent Sequence::on_token(TokenId id, const TokenRules& rules) {
  ++usage_.completion_tokens;
  const bool in_content = !answer_.in_reasoning();
  if (!in_content) ++usage_.reasoning_tokens;

  SequenceEvent event{.handle = handle_};
  const auto add = [&event](AnswerStream::Text text) {
    event.reasoning += text.reasoning;
    event.content += text.content;
    append_calls(event.tool_calls, std::move(text.calls));
  };
  const bool ends = std::ranges::find(rules.end_tokens, id) != rules.end_tokens.end();
  if (constraint_ && in_content && !ends) {
    const auto kind = rules.tokenizer->is_control(id) ? grammar::TokenKind::kControl : grammar::TokenKind::kText;
    if (!constraint_->matcher.accept(rules.tokenizer->token_bytes(id), kind)) {
      event.finish = FinishReason::kError;
      event.error = Error(Code::kInternal, "constraint_broken", "a token was sampled that the answer's format forbids");
      event.usage = usage_;
      return event;
    }
  }
  if (ends) {
    event.finish = FinishReason::kStop;
    add(answer_.finish());
  } else if (id == rules.think_end) {
    add(answer_.on_think_end());
  } else if (id == rules.think) {
    answer_.on_think();
  } else if (!rules.tokenizer->is_control(id)) {
    add(answer_.on_token(rules.tokenizer->token_bytes(id)));
  } else if (const auto mark = rules.chat == nullptr ? std::nullopt : rules.chat->mark_of(id)) {
    add(answer_.on_mark(*mark));
  }
  if (answer_.stopped()) {
    event.finish = FinishReason::kStop;
    event.stop_text = answer_.stop_text();
  } else if (answer_.is_over()) {
    event.finish = FinishReason::kStop;
  }
  if (!event.finish && usage_.completion_tokens == completion_max_) {
    event.finish = FinishReason::kLength;
    add(answer_.finish());
  }
  if (event.finish == FinishReason::kStop && event.stop_text.empty() && answer_.has_calls()) {
    event.finish = FinishReason::kToolCalls;
  }
  if (!event.finish) tokens_.push_back(id);
  event.usage = usage_;
  return event;
}

SequenceEvent Sequence::end(FinishReason reason, Error error) const {
  return {.handle = handle_, .usage = usage_, .finish = reason, .error = std::move(error)};
}

}  // namespace tidegate::worker
