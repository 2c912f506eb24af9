#include "worker/engine/constraint.h"

#include <string>
#include <utility>

namespace tidegate::worker {
namespace {

std::unexpected<Error> unsupported(std::string field, std::string_view fix) {
  std::string message = "'" + field + "' asks for an answer of a form that this model's engine cannot keep; ";
  message += fix;
  return fail(Code::kInvalidArgument, "unsupported_response_format", std::move(message), std::move(field));
}

}  // namespace

Result<std::shared_ptr<const grammar::Grammar>> constraint_of(const GenerateRequest& request) {
  const ToolOffer& offer = request.offer;
  if (offer.choice.is_forced()) {
    return unsupported("tool_choice", "leave the choice to the model ('auto').");
  }
  switch (offer.format.kind) {
    case ResponseFormat::Kind::kText: break;
    case ResponseFormat::Kind::kJsonObject:
    case ResponseFormat::Kind::kJsonSchema:
      return unsupported("response_format", "describe the form in a message, and check the answer.");
  }
  return std::shared_ptr<const grammar::Grammar>();
}

}  // namespace tidegate::worker
