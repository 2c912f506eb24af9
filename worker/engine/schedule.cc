#include "worker/engine/schedule.h"

#include <algorithm>

#include "base/core/check.h"

namespace tidegate::worker {

Sequence* Schedule::find(SequenceHandle handle) const {
  const auto same = [handle](const auto& sequence) { return sequence->handle() == handle; };
  if (const auto it = std::ranges::find_if(running_, same); it != running_.end()) return it->get();
  if (const auto it = std::ranges::find_if(waiting_, same); it != waiting_.end()) return it->get();
  return nullptr;
}

void Schedule::remove(SequenceHandle handle) {
  const auto same = [handle](const auto& sequence) { return sequence->handle() == handle; };
  std::erase_if(running_, same);
  std::erase_if(waiting_, same);
}

bool Schedule::may_enter(Sequence& sequence) const {
  if (running() >= limits_.sequences_max) return false;
  const std::int32_t growth = running();
  // A cached block that somebody uses is there already; an idle one is one of the free ones.
  const std::int32_t shared = sequence.blocks().find(sequence.tokens()).in_use;
  return kv_blocks_for(sequence.length() + 1) - shared + growth <= pool_->blocks_free();
}

std::vector<Sequence*> Schedule::admit() {
  std::vector<Sequence*> entered;
  while (!waiting_.empty() && may_enter(*waiting_.front())) {
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    Sequence& sequence = *running_.back();
    sequence.adopt();
    const bool covered = sequence.blocks().try_cover(sequence.length() + 1);
    TG_CHECK(covered);
    entered.push_back(&sequence);
  }
  return entered;
}

bool Schedule::make_room(Sequence& sequence) {
  while (!sequence.blocks().try_cover(sequence.length())) {
    const bool self = running_.back().get() == &sequence;
    // Alone it always fits: a sequence is refused at submission if it could outgrow the whole pool.
    TG_CHECK(running_.size() > 1 || !self);
    ++preemptions_;
    running_.back()->preempt();
    waiting_.push_front(std::move(running_.back()));
    running_.pop_back();
    if (self) return false;
  }
  return true;
}

std::int32_t Schedule::fit_drafts(Sequence& sequence, std::int32_t budget) {
  const auto drafts = static_cast<std::int32_t>(sequence.drafts().size());
  if (drafts > 0 && drafts <= budget && sequence.blocks().try_cover(sequence.length() + drafts)) return drafts;
  sequence.drop_drafts();
  return 0;
}

std::vector<StepPart> Schedule::plan() {
  std::vector<StepPart> parts;
  std::int32_t budget = limits_.step_tokens_max;
  const auto pending = [](const Sequence& sequence) { return sequence.length() - sequence.computed(); };
  // running_ shrinks from its end while we walk: the ones preempted are always behind the one that needs
  // room.
  for (std::size_t index = 0; index < running_.size(); ++index) {
    Sequence& sequence = *running_[index];
    if (pending(sequence) != 1) continue;
    if (!make_room(sequence)) break;
    parts.push_back({&sequence, 1});
    --budget;
  }
  // Only now: whoever decodes has its block, and the last free ones may go to guesses.
  for (StepPart& part : parts) {
    part.drafts = fit_drafts(*part.sequence, budget);
    budget -= part.drafts;
  }
  for (const auto& sequence : running_) {
    if (budget <= 0) break;
    if (pending(*sequence) <= 1) continue;
    const std::int32_t count = std::min(budget, pending(*sequence));
    parts.push_back({sequence.get(), count});
    budget -= count;
  }
  TG_DCHECK(running_.empty() || !parts.empty());
  return parts;
}

}  // namespace tidegate::worker
