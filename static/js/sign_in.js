// The sign-in: let the user see what was typed as the password.

const password = document.querySelector('input[name="password"]');
document.getElementById("show-password").addEventListener("change", (event) => {
  password.type = event.target.checked ? "text" : "password";
});
