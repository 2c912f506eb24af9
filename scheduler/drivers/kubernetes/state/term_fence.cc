#include "scheduler/drivers/kubernetes/state/term_fence.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace tidegate::scheduler::kube {

Status TermFence::enter(Term term) {
  if (term < newest_) {
    return fail(Code::kFailedPrecondition, "stale_term",
                fmt::format("term {} has acted in this namespace; {} is older", newest_, term));
  }
  if (term > wanted_) {
    wanted_ = newest_ = term;
    not_before_ = {};
  }
  return {};
}

void TermFence::leave() {
  wanted_ = held_ = 0;
  is_read_ = false;
}

TermFence::Step TermFence::step(Mono now) const {
  if (wanted_ == 0 || is_stale() || now < not_before_) return Step::kIdle;
  return is_read_ ? Step::kWrite : Step::kRead;
}

void TermFence::on_read(const std::optional<SeenLease>& lease, Mono now) {
  is_read_ = true;
  lease_version_ = lease ? lease->resource_version : "";
  newest_ = std::max(newest_, lease ? lease->term : 0);
  not_before_ = now;
}

void TermFence::on_written(Term term, std::string lease_version, Mono now) {
  if (wanted_ != 0) held_ = term;  // else the term ended while we wrote
  lease_version_ = std::move(lease_version);
  backoff_.reset();
  // A newer order may have come while we wrote: then at once.
  not_before_ = term == wanted_ ? now + settings_.renew_every : now;
}

void TermFence::on_failed(const CallFailure& failure, Mono now) {
  // Whatever it was, the next thing is to look: after a conflict somebody else wrote, after silence we may have.
  is_read_ = false;
  not_before_ = now + std::max(backoff_.next(), failure.retry_after);
}

}  // namespace tidegate::scheduler::kube
