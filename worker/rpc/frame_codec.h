#pragma once

#include "tidegate/v1/worker.pb.h"
#include "worker/host/session.h"
#include "worker/rpc/worker_facts.h"

/// proto/tidegate/v1/worker.proto <-> the host's types.
namespace tidegate::worker {

/// What a gateway may put into one StartSequence; the gateway has checked the user's limits long before.
inline constexpr int kMessagesMax = 4096;
inline constexpr int kStopMax = 16;
inline constexpr int kToolsMax = 128;

/// Fails: invalid_argument with the field of the user's request (bad_message_count, bad_role, bad_prefix, bad_utf8,
/// too_many_stops, too_many_tools, bad_schema, out_of_range), so that the gateway can pass it on.
Result<StartCommand> decode_start(v1::StartSequence start);

v1::WorkerFrame encode_frame(SessionFrame frame);
v1::WorkerHello encode_hello(const WorkerFacts& worker, const EngineFacts& engine, std::uint64_t term);

}  // namespace tidegate::worker
