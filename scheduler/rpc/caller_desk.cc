#include "scheduler/rpc/caller_desk.h"

#include "base/crypto/api_key.h"
#include "base/crypto/jwt.h"

namespace tidegate::scheduler {

namespace {

std::unexpected<Error> bad_token() {
  return fail(Code::kUnauthenticated, "bad_token", "the token is not one that this installation knows", "authorization");
}

}  // namespace

Status CallerDesk::check_shape(const std::string& token) const {
  if (token.empty()) {
    return fail(Code::kUnauthenticated, "missing_token", "send the metadata 'authorization: Bearer tga_...'",
                "authorization");
  }
  const auto key = parse_api_key(token);
  if (key && key->kind == KeyKind::kAdmin) return {};
  if (directory_ != nullptr && has_jwt_shape(token)) return {};
  return bad_token();
}

Result<FleetCaller> CallerDesk::find(const std::string& token, Deadline deadline) {
  const Digest digest = sha256(token);
  // Digests have equal lengths: not even the key's length shows in the time.
  if (!operator_key_.empty() && equal_constant_time(as_view(digest), as_view(sha256(operator_key_)))) {
    const auto key = parse_api_key(token);
    return FleetCaller{"admin/" + (key ? key->public_id : std::string()), CallerRole::kOperator, false};
  }
  if (directory_ == nullptr) return bad_token();
  {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(digest);
    if (found != known_.end() && clock_.mono() < found->second.until) return found->second.caller;
  }
  TG_ASSIGN(const FleetCaller caller, directory_->who_is(token, deadline));
  remember(digest, caller, clock_.mono());
  return caller;
}

void CallerDesk::remember(const Digest& token, const FleetCaller& caller, Mono now) {
  const std::lock_guard lock(mutex_);
  if (known_.size() >= options_.remembered_max) {
    std::erase_if(known_, [now](const auto& one) { return one.second.until <= now; });
    if (known_.size() >= options_.remembered_max) known_.clear();
  }
  known_[token] = {caller, now + options_.remembered_for};
}

}  // namespace tidegate::scheduler
