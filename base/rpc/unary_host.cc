#include "base/rpc/unary_host.h"

#include "base/rpc/mono_time.h"

namespace tidegate::rpc {

Deadline deadline_of(const grpc::CallbackServerContext& context, Duration cap) {
  const Mono now = mono_now();
  const gpr_timespec left = gpr_time_sub(gpr_convert_clock_type(context.raw_deadline(), GPR_CLOCK_MONOTONIC),
                                         gpr_now(GPR_CLOCK_MONOTONIC));
  const Deadline capped = Deadline::after(now, cap);
  if (gpr_time_cmp(left, gpr_time_from_nanos(cap.count(), GPR_TIMESPAN)) >= 0) return capped;
  const auto nanos = static_cast<std::int64_t>(left.tv_sec) * 1'000'000'000 + left.tv_nsec;
  return Deadline::after(now, Duration(nanos));
}

grpc::ServerUnaryReactor* UnaryHost::refuse(grpc::CallbackServerContext& context, grpc::ServerUnaryReactor* reactor,
                                            const Error& error) {
  reactor->Finish(to_grpc(context, error));
  return reactor;
}

Status UnaryHost::still_wanted(const ServerCall& call) {
  if (call.is_cancelled()) return fail(Code::kCancelled, "client_gone", "the client ended the call");
  if (call.deadline().is_expired(mono_now())) {
    return fail(Code::kDeadlineExceeded, "expired_in_queue", "the deadline passed while the call waited for a thread");
  }
  return {};
}

Error UnaryHost::busy() {
  return {Code::kResourceExhausted, "server_busy", "too many calls wait for a thread: retry with back-off"};
}

}  // namespace tidegate::rpc
