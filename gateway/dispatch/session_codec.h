#pragma once

#include "gateway/core/ability.h"
#include "gateway/dispatch/dispatcher.h"
#include "tidegate/v1/fleet.pb.h"
#include "tidegate/v1/worker.pb.h"

/// The gateway's types <-> proto/tidegate/v1/{worker,fleet}.proto.
namespace tidegate::gateway {

/// The server refuses messages over 4 MiB; frames stay below with room for their envelope.
inline constexpr std::size_t kFrameBytesMax = 3 << 20;

v1::StartSequence encode_start(std::uint64_t sequence, const SequenceRequest& request, std::string_view cache_salt,
                               Duration budget);
/// Only what the prompt is made of.
v1::StartSequence encode_count(std::uint64_t sequence, const Plan& plan);
AbilitySet decode_abilities(const v1::WorkerHello& hello);
/// Texts are moved out of the event.
SequenceDelta decode_event(v1::SequenceEvent&& event);
inline SequenceDelta decode_event(const v1::SequenceEvent& event) { return decode_event(v1::SequenceEvent(event)); }
RouteSnapshot decode_routes(const v1::Routes& routes);

/// Folds `next` into `last`, so that starts and cancels of one busy moment leave as one message. False when the sum
/// would be too large.
bool merge_frames(v1::GatewayFrame& last, v1::GatewayFrame& next);

}  // namespace tidegate::gateway
