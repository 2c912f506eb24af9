#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/core/clock.h"
#include "base/net/http_head.h"

namespace tidegate {

/// One request, complete and past the strict gate. Everything is a view into the connection's buffers and is valid
/// until the handler returns.
struct HttpRequest {
  HeaderView head;
  std::string_view method;
  std::string_view path;   ///< target up to '?', not percent-decoded
  std::string_view query;  ///< after '?', or ""
  std::string_view body;
  std::string_view remote_address;  ///< "192.0.2.1", without the port
  Mono received;                    ///< when its first byte was read

  /// Value of the first field of that name, any case; "" when absent.
  std::string_view header(std::string_view name) const { return head.find(name); }
};

/// First value of `key` in "a=1&b=2", percent- and plus-decoded; "" when absent.
std::string query_value(std::string_view query, std::string_view key);

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

/// Content-Length, Transfer-Encoding, Connection and Date are the server's own: do not set them.
struct HttpResponse {
  HttpResponse() = default;
  explicit HttpResponse(int status_in, std::string body_in = {}, std::string content_type_in = "application/json")
      : status(status_in), content_type(std::move(content_type_in)), body(std::move(body_in)) {}

  int status = 200;
  std::string content_type = "application/json";
  HttpHeaders headers;
  std::string body;
  bool close = false;  ///< end the connection after this answer
};

/// "Not Found"; "" for a number without a name.
std::string_view status_text(int status);

}  // namespace tidegate
