#include "worker/engine/grammar/matcher.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/core/check.h"

namespace tidegate::worker::grammar {
namespace {

constexpr std::size_t kArenaMin = 4096;

}  // namespace

Matcher::Matcher(std::shared_ptr<const Grammar> grammar)
    : grammar_(std::move(grammar)), pushdown_(grammar_->automaton()), compact_at_(kArenaMin) {
  pushdown_.begin(grammar_->automaton().root, configs_);
  keep_few();
}

bool Matcher::accept(std::string_view bytes, TokenKind kind) {
  if (bytes.empty()) return false;
  keep_small();
  Step before{configs_, pushdown_.mark()};
  const bool control = kind == TokenKind::kControl;
  // Text never reads as a control token, whatever bytes it is made of.
  const bool good = (control || bytes.find(kControlByte) == std::string_view::npos) &&
                    (!control || read(std::string_view(&kControlByte, 1))) && read(bytes);
  if (!good) {
    configs_ = std::move(before.configs);
    pushdown_.cut(before.mark);
    return false;
  }
  keep_few();
  history_.push_back(std::move(before));
  if (history_.size() > kRollbackMax) history_.pop_front();
  return true;
}

bool Matcher::read(std::string_view bytes) {
  for (const char byte : bytes) {
    pushdown_.step(configs_, static_cast<std::uint8_t>(byte), scratch_);
    std::swap(configs_, scratch_);
    if (configs_.empty()) return false;
  }
  return true;
}

void Matcher::keep_few() {
  if (configs_.size() <= kWaysMax) return;
  std::sort(configs_.begin(), configs_.end());  // by place in the schema
  configs_.resize(kWaysMax);
}

void Matcher::rollback(std::size_t tokens) {
  TG_CHECK(tokens <= history_.size());
  if (tokens == 0) return;
  Step& step = history_[history_.size() - tokens];
  configs_ = std::move(step.configs);
  pushdown_.cut(step.mark);
  history_.resize(history_.size() - tokens);
}

bool Matcher::can_end() const {
  return std::ranges::any_of(configs_, [](const Config& config) { return config.node == kFinal; });
}

bool Matcher::is_complete() const {
  return std::ranges::all_of(configs_, [](const Config& config) { return config.node == kFinal; });
}

// A long answer leaves many dead frames behind; what is alive is small.
void Matcher::keep_small() {
  if (pushdown_.arena_size() < compact_at_) return;
  std::vector<Configs*> live{&configs_};
  for (Step& step : history_) live.push_back(&step.configs);
  pushdown_.compact(live);
  for (Step& step : history_) step.mark = pushdown_.mark();
  compact_at_ = std::max(kArenaMin, 2 * pushdown_.arena_size());
}

}  // namespace tidegate::worker::grammar
