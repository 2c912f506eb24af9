#pragma once

#include <string>
#include <vector>

#include "gateway/guard/guard.h"
#include "tidegate/v1/guard.pb.h"

/// proto/tidegate/v1/guard.proto <-> the gateway's types, for both ends of the wire.
namespace tidegate::gateway {

v1::GuardRequest encode_check(const GuardCheck& check);

/// What a server makes of a request. The check's views are of `joined`.
struct DecodedCheck {
  GuardSubject subject;
  GuardDirection direction = GuardDirection::kInput;
  std::vector<std::string> roles;
  std::vector<std::string> joined;  ///< context and piece of each text
  std::vector<GuardText> texts;     ///< views of the two above: the object must not move
};
/// Fills `out` in place. Fails: invalid_argument/invalid_value naming the field.
Status decode_check(const v1::GuardRequest& request, DecodedCheck& out);

v1::GuardVerdict encode_verdict(const GuardVerdict& verdict);
/// Of another process, so nothing in it is believed: names are cut to what a log may hold; check_verdict() looks at the
/// rest. Fails: internal/bad_verdict.
Result<GuardVerdict> decode_verdict(const v1::GuardVerdict& verdict, const GuardCheck& check);

}  // namespace tidegate::gateway
