#include "worker/engine/schedule.h"

#include <algorithm>
#include <utility>

#include "base/core/check.h"

namespace tidegate::worker {

void Schedule::add(std::unique_ptr<Sequence> sequence) {
  settle();
  FairShare::Tenant& tenant = share_.wait(sequence->tenant());
  waiting_.push_back({.sequence = std::move(sequence), .tenant = &tenant});
}

Sequence* Schedule::find(SequenceHandle handle) const {
  const auto same = [handle](const Place& place) { return place.sequence->handle() == handle; };
  for (const auto* places : {&running_, &preempted_, &waiting_}) {
    if (const auto it = std::ranges::find_if(*places, same); it != places->end()) return it->sequence.get();
  }
  return nullptr;
}

void Schedule::remove(SequenceHandle handle) {
  settle();
  const auto same = [handle](const Place& place) { return place.sequence->handle() == handle; };
  for (auto* places : {&running_, &preempted_, &waiting_}) {
    const auto it = std::ranges::find_if(*places, same);
    if (it == places->end()) continue;
    FairShare::Tenant& tenant = *it->tenant;
    places->erase(it);
    if (places == &waiting_) {
      share_.give_up(tenant);
    } else {
      share_.leave(tenant);
    }
    return;
  }
}

void Schedule::settle() {
  for (Place& place : running_) {
    const std::int32_t sampled = place.sequence->usage().completion_tokens;
    FairShare::charge_output(*place.tenant, sampled - place.charged);
    place.charged = sampled;
  }
}

bool Schedule::may_enter(Sequence& sequence) const {
  if (running() >= limits_.sequences_max) return false;
  const std::int32_t growth = running();
  // A cached block that somebody uses is there already; an idle one is one of the free ones.
  const std::int32_t shared = sequence.blocks().find(sequence.tokens()).in_use;
  return kv_blocks_for(sequence.length() + 1) - shared + growth <= pool_->blocks_free();
}

Sequence& Schedule::enter(Place place) {
  Sequence& sequence = *place.sequence;
  sequence.adopt();
  const bool covered = sequence.blocks().try_cover(sequence.length() + 1);
  TG_CHECK(covered);
  const auto younger = std::ranges::upper_bound(running_, place.age, {}, &Place::age);
  running_.insert(younger, std::move(place));
  return sequence;
}

// The queue is short: the gateway keeps the long one. A scan of it costs nothing beside a step.
std::vector<Schedule::Place>::iterator Schedule::next_waiting() {
  return std::ranges::min_element(waiting_, {}, [](const Place& place) {
    return std::pair(place.tenant->served, place.tenant->inside);
  });
}

std::vector<Sequence*> Schedule::admit() {
  settle();
  std::vector<Sequence*> entered;
  while (!preempted_.empty() && may_enter(*preempted_.front().sequence)) {
    Place place = std::move(preempted_.front());
    preempted_.erase(preempted_.begin());
    entered.push_back(&enter(std::move(place)));
  }
  while (preempted_.empty() && !waiting_.empty()) {
    const auto next = next_waiting();
    if (!may_enter(*next->sequence)) break;
    Place place = std::move(*next);
    waiting_.erase(next);
    FairShare::Tenant& tenant = *place.tenant;
    place.age = ++admissions_;
    Sequence& sequence = enter(std::move(place));
    share_.enter(tenant, sequence.length() - sequence.computed());
    entered.push_back(&sequence);
  }
  return entered;
}

std::size_t Schedule::victim_for(std::size_t index) const {
  std::size_t victim = index;
  for (std::size_t younger = index + 1; younger < running_.size(); ++younger) {
    if (victim == index || running_[younger].tenant->served >= running_[victim].tenant->served) victim = younger;
  }
  return victim;
}

bool Schedule::make_room(std::size_t index) {
  while (!running_[index].sequence->blocks().try_cover(running_[index].sequence->length())) {
    // Alone it always fits: a sequence is refused at submission if it could outgrow the whole pool.
    TG_CHECK(running_.size() > 1);
    const std::size_t victim = victim_for(index);
    ++preemptions_;
    running_[victim].sequence->preempt();
    const auto younger = std::ranges::upper_bound(preempted_, running_[victim].age, {}, &Place::age);
    preempted_.insert(younger, std::move(running_[victim]));
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(victim));
    if (victim == index) return false;
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
  // running_ shrinks while we walk: the ones preempted are always behind the one that needs room.
  for (std::size_t index = 0; index < running_.size(); ++index) {
    Sequence& sequence = *running_[index].sequence;
    if (pending(sequence) != 1) continue;
    if (!make_room(index)) break;
    parts.push_back({&sequence, 1});
    --budget;
  }
  // Only now: whoever decodes has its block, and the last free ones may go to guesses.
  for (StepPart& part : parts) {
    part.drafts = fit_drafts(*part.sequence, budget);
    budget -= part.drafts;
  }
  for (const Place& place : running_) {
    if (budget <= 0) break;
    const std::int32_t left = pending(*place.sequence);
    if (left <= 1) continue;
    const std::int32_t count = std::min(budget, left);
    parts.push_back({place.sequence.get(), count});
    budget -= count;
  }
  TG_DCHECK(running_.empty() || !parts.empty());
  return parts;
}

}  // namespace tidegate::worker
