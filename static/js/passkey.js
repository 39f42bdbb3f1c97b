// Say that a passkey was not used: the user cancelled, the device has none, or it took too long.

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  const fault = document.getElementById("passkey-fault");
  if (fault) fault.hidden = false;
});
