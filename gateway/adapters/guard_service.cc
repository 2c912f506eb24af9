#include "gateway/adapters/guard_service.h"

#include <fmt/format.h>

#include "gateway/adapters/guard_codec.h"

namespace tidegate::gateway {

grpc::ServerUnaryReactor* GuardService::Check(grpc::CallbackServerContext* context, const v1::GuardRequest* request,
                                              v1::GuardVerdict* response) {
  return host_.serve(context, response, [this, request](const rpc::ServerCall&) { return judge(*request); });
}

Result<v1::GuardVerdict> GuardService::judge(const v1::GuardRequest& request) const {
  DecodedCheck decoded;
  TG_TRY(decode_check(request, decoded));
  if (decoded.direction == GuardDirection::kOutput && request.window_bytes() < book_.window_bytes()) {
    return fail(Code::kFailedPrecondition, "window_too_small",
                fmt::format("the gateway's guard.window_bytes is {}, these rules are served with {}: make them equal",
                            request.window_bytes(), book_.window_bytes()),
                "window_bytes");
  }
  const GuardCheck check{decoded.subject, decoded.direction, std::move(decoded.texts), request.window_bytes()};
  return encode_verdict(book_.judge(check));
}

}  // namespace tidegate::gateway
