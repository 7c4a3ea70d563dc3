# What `chandler demo` plans, waits for an approval of, and applies. `terraform_data` is built in: nothing is downloaded.

variable "greeting" {
  type    = string
  default = "Hello"
}

resource "terraform_data" "place" {
  input = "the demonstration"

  provisioner "local-exec" {
    command = "echo \"${var.greeting} from a provisioner in $(pwd).\""
  }
}

output "message" {
  value = "${var.greeting}, ${terraform_data.place.output}."
}
