#pragma once

#include <string>
#include <vector>

namespace tidegate::test {

/// One raw request head and what the gate must say: a reason, or "" to accept.
struct GateCase {
  std::string name;
  std::string raw;
  std::string reason;
};

inline std::vector<GateCase> gate_cases() {
  const std::string get = "GET /v1/models HTTP/1.1\r\nHost: api\r\n";
  const std::string post = "POST /v1/chat/completions HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\n";
  const auto many = [&](int n) {
    std::string raw = get;
    for (int i = 0; i < n; ++i) raw += "X-" + std::to_string(i) + ": v\r\n";
    return raw + "\r\n";
  };
  return {
      // Sound requests.
      {"plain GET", get + "\r\n", ""},
      {"POST with a length", post + "Content-Length: 2\r\n\r\n", ""},
      {"POST in chunks", post + "Transfer-Encoding: chunked\r\n\r\n", ""},
      {"chunked in capitals", post + "Transfer-Encoding: CHUNKED\r\n\r\n", ""},
      {"POST without a body", "POST /v1/keys/1/revoke HTTP/1.1\r\nHost: api\r\n\r\n", ""},
      {"JSON with a charset", "POST / HTTP/1.1\r\nHost: api\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n\r\n", ""},
      {"expect 100-continue", post + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n", ""},
      {"HTTP/1.0 without a body", "GET /livez HTTP/1.0\r\nHost: api\r\n\r\n", ""},
      {"host with port", "GET / HTTP/1.1\r\nHost: api.example.com:8080\r\n\r\n", ""},
      {"IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", ""},
      {"OPTIONS star", "OPTIONS * HTTP/1.1\r\nHost: api\r\n\r\n", ""},
      {"64 fields", many(63), ""},
      // Host.
      {"no Host", "GET / HTTP/1.1\r\nAccept: a\r\n\r\n", "bad_host"},
      {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "bad_host"},
      {"two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "bad_host"},
      {"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "bad_host"},
      {"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "bad_host"},
      {"Host with user info", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "bad_host"},
      {"Host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "bad_host"},
      {"Host with a bad port", "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", "bad_host"},
      // Transfer-Encoding and Content-Length: request smuggling.
      {"TE with CL", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "te_with_length"},
      {"CL after TE", post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "te_with_length"},
      {"TE xchunked", post + "Transfer-Encoding: xchunked\r\n\r\n", "bad_transfer_encoding"},
      {"TE identity", post + "Transfer-Encoding: identity\r\n\r\n", "bad_transfer_encoding"},
      {"TE chunked, gzip", post + "Transfer-Encoding: chunked, gzip\r\n\r\n", "bad_transfer_encoding"},
      {"TE gzip, chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n", "bad_transfer_encoding"},
      {"TE chunked, chunked", post + "Transfer-Encoding: chunked, chunked\r\n\r\n", "bad_transfer_encoding"},
      {"two TE fields", post + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_transfer_encoding"},
      {"TE twice chunked", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_transfer_encoding"},
      {"TE empty", post + "Transfer-Encoding:\r\n\r\n", "bad_transfer_encoding"},
      {"TE in quotes", post + "Transfer-Encoding: \"chunked\"\r\n\r\n", "bad_transfer_encoding"},
      {"TE with a vertical tab", post + "Transfer-Encoding: \vchunked\r\n\r\n", "bad_header"},
      {"TE name with a blank", post + "Transfer-Encoding : chunked\r\n\r\n", "bad_header"},
      {"TE name with an underscore", post + "Transfer_Encoding: chunked\r\n\r\n", "bad_header"},
      {"TE folded", post + "Transfer-Encoding:\r\n chunked\r\n\r\n", "obs_fold"},
      {"two equal CL", post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "bad_content_length"},
      {"two different CL", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "bad_content_length"},
      {"CL list", post + "Content-Length: 5, 5\r\n\r\n", "bad_content_length"},
      {"CL with a sign", post + "Content-Length: +5\r\n\r\n", "bad_content_length"},
      {"CL negative", post + "Content-Length: -1\r\n\r\n", "bad_content_length"},
      {"CL in hex", post + "Content-Length: 0x5\r\n\r\n", "bad_content_length"},
      {"CL with a blank inside", post + "Content-Length: 1 0\r\n\r\n", "bad_content_length"},
      {"CL empty", post + "Content-Length:\r\n\r\n", "bad_content_length"},
      {"CL of eleven digits", post + "Content-Length: 12345678901\r\n\r\n", "bad_content_length"},
      {"CL of 2^64+1", post + "Content-Length: 18446744073709551617\r\n\r\n", "bad_content_length"},
      {"HTTP/1.0 with CL", "POST / HTTP/1.0\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n", "body_in_http10"},
      {"HTTP/1.0 with TE", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "body_in_http10"},
      // Lines.
      {"obs-fold with a blank", get + "X-A: 1\r\n 2\r\n\r\n", "obs_fold"},
      {"obs-fold with a tab", get + "X-A: 1\r\n\t2\r\n\r\n", "obs_fold"},
      {"first line folded", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "obs_fold"},
      {"bare LF", get + "X-A: 1\nX-B: 2\r\n\r\n", "bad_header"},
      {"bare CR", get + "X-A: 1\rX-B: 2\r\n\r\n", "bad_header"},
      {"CR CR LF", get + "X-A: 1\r\r\n\r\n", "bad_header"},
      {"NUL in a value", get + std::string("X-A: a\0b\r\n\r\n", 12), "bad_header"},
      {"NUL in a name", get + std::string("X\0A: a\r\n\r\n", 10), "bad_header"},
      {"8-bit value", get + "X-A: caf\xc3\xa9\r\n\r\n", "bad_header"},
      {"no colon", get + "X-A\r\n\r\n", "bad_header"},
      {"empty name", get + ": a\r\n\r\n", "bad_header"},
      {"name with parentheses", get + "X(A): a\r\n\r\n", "bad_header"},
      {"65 fields", many(64), "headers_too_large"},
      {"17 KiB in one field", get + "X-A: " + std::string(17 * 1024, 'a') + "\r\n\r\n", "headers_too_large"},
      // Request line.
      {"empty first line", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_line"},
      {"two blanks", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_line"},
      {"tab as a blank", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_line"},
      {"blank in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_line"},
      {"no version", "GET /\r\nHost: a\r\n\r\n", "bad_request_line"},
      {"lower-case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request_line"},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "http_version"},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "http_version"},
      {"HTTP/01.1", "GET / HTTP/01.1\r\nHost: a\r\n\r\n", "http_version"},
      {"lower-case version", "GET / http/1.1\r\nHost: a\r\n\r\n", "http_version"},
      {"absolute target", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target"},
      {"authority target", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target"},
      {"star target for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target"},
      {"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target"},
      // Meaning.
      {"TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "method_not_allowed"},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\n", "http_version"},
      {"upgrade", get + "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", "bad_upgrade"},
      {"h2c upgrade", get + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", "bad_upgrade"},
      {"Connection that is no list", get + "Connection: close keep-alive\r\n\r\n", "bad_connection"},
      {"unknown Expect", post + "Content-Length: 2\r\nExpect: 200-ok\r\n\r\n", "bad_expect"},
      {"POST of a form", "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 2\r\n\r\n", "unsupported_media_type"},
      {"POST of text", "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n", "unsupported_media_type"},
      {"POST without a type", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n", "unsupported_media_type"},
      {"POST of two types", post + "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n", "unsupported_media_type"},
      {"POST of json-seq", "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json-seq\r\nContent-Length: 2\r\n\r\n", "unsupported_media_type"},
      {"body above 8 MiB", post + "Content-Length: 8388609\r\n\r\n", "body_too_large"},
  };
}

}  // namespace tidegate::test
