#include "gateway/http/keep_alive.h"

#include <chrono>

#include "base/net/sse.h"

namespace tidegate::gateway {

void append_keep_alive_comment(std::string& out, const AnswerHead& head) {
  if (!head.place) {
    out += sse::kKeepAlive;
    return;
  }
  out += ": keep-alive queued position=";
  out += std::to_string(head.place->position);
  if (head.place->eta) {
    out += " eta_ms=";
    out += std::to_string(std::chrono::ceil<std::chrono::milliseconds>(*head.place->eta).count());
  }
  out += "\n\n";
}

}  // namespace tidegate::gateway
