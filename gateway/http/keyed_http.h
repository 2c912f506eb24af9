#pragma once

#include <string>
#include <string_view>

#include "base/net/http_server.h"
#include "gateway/http/idempotency_desk.h"

namespace tidegate::gateway {

/// A request with an Idempotency-Key over HTTP. The exchange outlives it.
class KeyedHttp final : public KeyedExchange {
 public:
  explicit KeyedHttp(HttpExchange& exchange) : exchange_(exchange) {}
  std::string_view key() const override;
  std::string content() const override;
  void set_tap(AnswerTap* tap) override { exchange_.set_tap(tap); }
  awaitable<Status> replay(StoredAnswer answer) override;

 private:
  HttpExchange& exchange_;
};

}  // namespace tidegate::gateway
