#pragma once

#include <memory>
#include <string>

#include "gateway/http/answer_form.h"

namespace tidegate::gateway {

/// text_completion, whole or in chunks of the same object. `echo` is text that stands before the answer's, or "".
/// A raw prompt is answered without thinking; should a model think all the same, its thinking is left out.
std::unique_ptr<AnswerForm> make_completion_form(bool include_usage, std::string echo);

}  // namespace tidegate::gateway
