#pragma once

#include <string>

#include "gateway/http/answer_head.h"

namespace tidegate::gateway {

/// The comment of a silent stream, which every reader of server-sent events skips: ": keep-alive", and while the request
/// waits for a worker where it stands: ": keep-alive queued position=3 eta_ms=1200" (no eta_ms while nobody knows).
void append_keep_alive_comment(std::string& out, const AnswerHead& head);

}  // namespace tidegate::gateway
