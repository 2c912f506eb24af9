#include "scheduler/rpc/caller_desk.h"

#include <utility>

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
  if (auto known = recall(digest)) return *std::move(known);
  Result<FleetCaller> answer = directory_->who_is(token, deadline);
  remember(digest, answer);
  return answer;
}

std::optional<Result<FleetCaller>> CallerDesk::recall(const Digest& token) const {
  const Mono now = clock_.mono();
  const std::lock_guard lock(mutex_);
  for (const Memory* memory : {&known_, &refused_}) {
    const auto found = memory->find(token);
    if (found != memory->end() && now < found->second.until) return found->second.answer;
  }
  return std::nullopt;
}

void CallerDesk::remember(const Digest& token, const Result<FleetCaller>& answer) {
  const Mono now = clock_.mono();
  const std::lock_guard lock(mutex_);
  if (answer) return note(known_, options_.remembered_max, token, {answer, now + options_.remembered_for}, now);
  // Anything else says nothing about the token.
  const Code code = answer.error().code;
  if (code != Code::kUnauthenticated && code != Code::kPermissionDenied) return;
  note(refused_, options_.refused_max, token, {answer, now + options_.refused_for}, now);
}

void CallerDesk::note(Memory& memory, std::size_t most, const Digest& token, Known known, Mono now) {
  if (memory.size() >= most) {
    std::erase_if(memory, [now](const auto& one) { return one.second.until <= now; });
    if (memory.size() >= most) memory.clear();
  }
  memory.insert_or_assign(token, std::move(known));
}

}  // namespace tidegate::scheduler
