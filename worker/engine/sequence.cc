#include "worker/engine/sequence.h"

#include <algorithm>
#include <utility>

#include "base/core/check.h"

namespace tidegate::worker {

Sequence::Sequence(Request request, KvPool& pool)
    : handle_(request.handle),
      tenant_(request.tenant),
      sampler_(request.sampler),
      shape_(std::move(request.shape)),
      logprobs_(request.logprobs),
      completion_max_(request.completion_max),
      tokens_(std::move(request.prompt)),
      prompt_tokens_(static_cast<std::int32_t>(tokens_.size())),
      history_(shape_, tokens_),
      blocks_(pool, request.salt),
      answer_(std::move(request.stops), request.start, std::move(request.tools)),
      constraint_(std::move(request.constraint)),
      pooler_(std::move(request.pooler)) {
  TG_CHECK(!tokens_.empty() && completion_max_ > 0);
}

void Sequence::adopt() {
  TG_DCHECK(computed_ == 0);
  computed_ = blocks_.adopt(tokens_);
}

SequenceEvent Sequence::accept() {
  accepted_ = true;
  usage_.prompt_tokens = prompt_tokens_;
  usage_.cached_tokens = computed_;
  return {.handle = handle_, .accepted = true, .usage = usage_};
}

void Sequence::advance(std::int32_t count) {
  computed_ += count;
  TG_DCHECK(computed_ <= length());
  blocks_.publish(tokens_, computed_);
}

void Sequence::preempt() {
  blocks_.release();
  computed_ = 0;
  draft_state_ = {};
  drafts_.clear();
  if (pooler_) pooler_->reset();
}

std::span<const TokenId> Sequence::feed(std::int32_t count) {
  const auto first = static_cast<std::size_t>(computed_);
  const auto certain = tokens().subspan(first, static_cast<std::size_t>(count));
  if (drafts_.empty() || computed_ + count != length()) return certain;
  fed_.assign(certain.begin(), certain.end());
  fed_.insert(fed_.end(), drafts_.begin(), drafts_.end());
  return fed_;
}

std::vector<TokenId> Sequence::take_drafts() {
  usage_.drafted_tokens += static_cast<std::int32_t>(drafts_.size());
  return std::exchange(drafts_, {});
}

SequenceEvent Sequence::on_token(TokenId id, const TokenRules& rules, std::optional<TokenLogprob> logprob) {
  ++usage_.completion_tokens;
  history_.add(id);
  const bool in_content = !answer_.in_reasoning();
  if (!in_content) ++usage_.reasoning_tokens;

  SequenceEvent event{.handle = handle_};
  const auto add = [&event](AnswerStream::Text text) {
    event.reasoning += text.reasoning;
    event.content += text.content;
    append_calls(event.tool_calls, std::move(text.calls));
  };
  const bool ends = std::ranges::find(rules.end_tokens, id) != rules.end_tokens.end();
  if (logprob && !ends && !rules.tokenizer->is_control(id)) {
    logprob->in_reasoning = !in_content;
    event.logprobs.push_back(*std::move(logprob));
  }
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
